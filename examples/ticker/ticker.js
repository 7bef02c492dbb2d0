// The board follows /prices/live. An EventSource comes back by itself when the connection breaks, and says which event
// it saw last; the server then sends what was missed.

const KEPT = 60;
const NEWS = 12;

const board = document.getElementById("board");
const news = document.getElementById("news");
const state = document.getElementById("state");
const card = document.getElementById("card");
const goods = new Map();

const money = new Intl.NumberFormat(undefined, { style: "currency", currency: "EUR" });
const percent = new Intl.NumberFormat(undefined, { style: "percent", signDisplay: "always", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function show(text, name) {
  state.textContent = text;
  state.dataset.state = name;
}

function row(name) {
  if (!goods.has(name)) {
    const element = card.content.firstElementChild.cloneNode(true);
    element.querySelector(".name").textContent = name;
    const after = [...goods.keys()].filter((other) => other > name).sort()[0];
    board.insertBefore(element, after ? goods.get(after).element : null);
    goods.set(name, { element, prices: [] });
  }
  return goods.get(name);
}

function draw({ element, prices }) {
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const spread = high - low || 1;
  const step = 100 / Math.max(prices.length - 1, 1);
  const points = prices.map((price, at) => `${(at * step).toFixed(1)},${(30 - (28 * (price - low)) / spread).toFixed(1)}`);
  element.querySelector("polyline").setAttribute("points", points.join(" "));
}

function move(name, price, at) {
  const good = row(name);
  const before = good.prices.at(-1);
  if (price === before) return;
  good.prices = [...good.prices, price].slice(-KEPT);
  good.element.querySelector(".price").textContent = money.format(price);
  draw(good);
  if (before === undefined) return;
  const change = price / before - 1;
  const way = change < 0 ? "down" : "up";
  good.element.querySelector(".change").textContent = percent.format(change);
  good.element.classList.remove("up", "down", "moved");
  void good.element.offsetWidth; // so that the animation starts again
  good.element.classList.add(way, "moved");
  tell(name, price, change, way, at);
}

function tell(name, price, change, way, at) {
  const item = document.createElement("li");
  item.className = way;
  const time = document.createElement("time");
  time.textContent = clock.format(at);
  const words = document.createElement("span");
  words.textContent = `${name} ${money.format(price)}`;
  const mark = document.createElement("b");
  mark.textContent = percent.format(change);
  item.append(time, words, mark);
  news.prepend(item);
  while (news.children.length > NEWS) news.lastElementChild.remove();
}

const source = new EventSource("/prices/live");
source.onopen = () => show("live", "live");
source.onerror = () => show("the server is away; coming back…", "away");
source.onmessage = (event) => {
  document.body.dataset.lastEvent = event.lastEventId;
  const { prices, at } = JSON.parse(event.data);
  for (const [name, price] of Object.entries(prices)) move(name, price, at);
};
