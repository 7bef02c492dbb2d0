// The page of examples/chat.py: one WebSocket, a list of people, a log of messages.
//
// What visitors typed reaches the page as text only (textContent and text nodes), never as HTML.

const $ = (id) => document.getElementById(id);
const room = location.pathname.split("/")[2];

const SLOWEST_RETRY = 8000;
const TYPING_SHOWN = 3000;
const TYPING_SENT_EVERY = 2000;
const FACES_IN_THE_HEADER = 4;

// Connection ---------------------------------------------------------------------------------------------------------

let socket;
let nameAsked;
let failures = 0;
let retry;

function connect() {
  clearTimeout(retry);
  if (socket?.readyState <= WebSocket.OPEN) return;
  const url = new URL(`/rooms/${room}/live`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  nameAsked = me.name;
  url.searchParams.set("name", nameAsked);
  socket = new WebSocket(url);
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", reconnectLater);
}

function reconnectLater() {
  showState("offline", failures ? "Still offline. Trying again…" : "Connection lost. Reconnecting…");
  // Twice as long each time, and not everybody at the same moment.
  const wait = Math.min(SLOWEST_RETRY, 500 * 2 ** failures++) * (0.5 + Math.random() / 2);
  retry = setTimeout(connect, wait);
}

function send(message) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}

const receivers = {
  welcome({ you, messages, people }) {
    failures = 0;
    me.become(you);
    messages.forEach(showMessage);
    showPeople(people);
    toNewest();
    if (me.name !== nameAsked) send({ type: "rename", name: me.name }); // changed while we were connecting
  },
  message(message) {
    stopTyping(message.from);
    showMessage(message);
    if (document.hidden) showUnread(unread + 1);
  },
  people({ people, event, name, old }) {
    showPeople(people);
    showNews({ joined: `${name} joined`, left: `${name} left`, renamed: `${old} is now ${name}` }[event]);
  },
  rooms({ rooms }) {
    showRooms(rooms);
  },
  typing({ from }) {
    showTyping(from);
  },
};

function receive(message) {
  receivers[message.type]?.(message);
}

// Who I am -----------------------------------------------------------------------------------------------------------

// Kept for this tab only, so that two tabs are two people.
const me = {
  ids: new Set(JSON.parse(sessionStorage.getItem("ids") ?? "[]")),
  id: "",
  name: sessionStorage.getItem("name") ?? inventName(),

  become(id) {
    this.id = id;
    this.ids.add(id);
    sessionStorage.setItem("ids", JSON.stringify([...this.ids].slice(-50)));
  },
  rename(name) {
    this.name = name;
    sessionStorage.setItem("name", name);
  },
};

function inventName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const first = ["Amber", "Brave", "Calm", "Clever", "Coral", "Gentle", "Ivory", "Lucky", "Mellow", "Quiet", "Swift", "Velvet"];
  const second = ["Badger", "Crane", "Falcon", "Fox", "Heron", "Lynx", "Marten", "Otter", "Owl", "Raven", "Seal", "Wren"];
  return `${pick(first)} ${pick(second)}`;
}

// Messages -----------------------------------------------------------------------------------------------------------

const shown = new Set();
let lastTurn = null;

function showMessage(message) {
  if (shown.has(message.id)) return; // after a reconnect the welcome repeats what we have
  shown.add(message.id);
  const bubble = document.createElement("p");
  bubble.className = "bubble";
  bubble.append(...withLinks(message.text));
  keepingPlace(() => turnFor(message).querySelector(".said").append(bubble), me.ids.has(message.from));
}

// Messages of one person within two minutes stand together under one name.
function turnFor(message) {
  const { from, name, at } = message;
  if (lastTurn?.from === from && lastTurn.name === name && at - lastTurn.at < 120_000) {
    lastTurn.at = at;
    return lastTurn.element;
  }
  const element = $("turn-template").content.cloneNode(true).firstElementChild;
  element.classList.toggle("mine", me.ids.has(from));
  element.querySelector("b").textContent = name;
  paintFace(element.querySelector(".face"), name);
  const time = element.querySelector("time");
  const date = new Date(at);
  time.dateTime = date.toISOString();
  time.title = date.toLocaleString();
  time.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  $("log").append(element);
  lastTurn = { element, from, name, at };
  return element;
}

function showNews(text) {
  const news = document.createElement("p");
  news.className = "news";
  news.textContent = text;
  lastTurn = null;
  keepingPlace(() => $("log").append(news), false);
}

function withLinks(text) {
  return text.split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/).map((part, index) => {
    if (index % 2 === 0) return part;
    const link = document.createElement("a");
    link.href = part;
    link.textContent = part;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  });
}

// Whoever reads older messages stays there; whoever is at the end, or wrote this, sees the newest.
function keepingPlace(change, follow) {
  const { scrollTop, scrollHeight, clientHeight } = $("scroll");
  const atEnd = scrollHeight - scrollTop - clientHeight < 60;
  change();
  if (atEnd || follow) toNewest();
  else $("newer").hidden = false;
}

function toNewest() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
  $("newer").hidden = true;
}

// People and rooms ---------------------------------------------------------------------------------------------------

let names = new Map();

function showPeople(people) {
  names = new Map(people.map(({ id, name }) => [id, name]));
  $("people").replaceChildren(...people.map(personItem));
  $("people-count").textContent = people.length;
  const others = people.filter(({ id }) => id !== me.id);
  $("faces").replaceChildren(...others.slice(0, FACES_IN_THE_HEADER).map(({ name }) => paintFace(document.createElement("li"), name)));
  showState("online", people.length === 1 ? "Connected. Only you are here" : `${people.length} people are here`);
}

function personItem({ id, name }) {
  const item = $("person-template").content.cloneNode(true).firstElementChild;
  paintFace(item.querySelector(".face"), name);
  item.querySelector(".name").textContent = name;
  item.classList.toggle("me", id === me.id);
  return item;
}

function paintFace(face, name) {
  const words = name.split(" ");
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...word][0] ?? "");
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  face.className = "face";
  face.textContent = letters.join("").toUpperCase();
  face.style.setProperty("--hue", hue);
  return face;
}

function showRooms(rooms) {
  const items = Object.entries(rooms).map(([name, people]) => {
    const link = document.createElement("a");
    link.href = `/rooms/${name}`;
    link.textContent = name;
    if (name === room) link.setAttribute("aria-current", "page");
    if (people) link.append(countBadge(people));
    const item = document.createElement("li");
    item.append(link);
    return item;
  });
  $("rooms").replaceChildren(...items);
}

function countBadge(people) {
  const badge = document.createElement("span");
  badge.className = "count";
  badge.textContent = people;
  badge.title = people === 1 ? "1 person" : `${people} people`;
  return badge;
}

const typing = new Map(); // id → timer

function showTyping(id) {
  clearTimeout(typing.get(id));
  typing.set(id, setTimeout(stopTyping, TYPING_SHOWN, id));
  sayWhoTypes();
}

function stopTyping(id) {
  clearTimeout(typing.get(id));
  typing.delete(id);
  sayWhoTypes();
}

function sayWhoTypes() {
  const who = [...typing.keys()].map((id) => names.get(id)).filter(Boolean);
  const verb = who.length === 1 ? "is" : "are";
  $("typing").textContent = who.length > 2 ? "Several people are typing" : who.length ? `${who.join(" and ")} ${verb} typing` : "";
}

// State --------------------------------------------------------------------------------------------------------------

let unread = 0;

function showUnread(count) {
  unread = count;
  document.title = `${count ? `(${count}) ` : ""}#${room} · microsock chat`;
}

function showState(state, text) {
  $("status").dataset.state = state;
  if ($("status").textContent !== text) $("status").textContent = text;
  showReady();
}

// Says something for a moment in the place of the status.
function mention(text) {
  const before = $("status").textContent;
  $("status").textContent = text;
  setTimeout(() => {
    if ($("status").textContent === text) $("status").textContent = before;
  }, 2000);
}

function showReady() {
  $("send").disabled = $("status").dataset.state !== "online" || !$("text").value.trim();
}

// What the visitor does ----------------------------------------------------------------------------------------------

let typingSent = 0;

$("text").addEventListener("input", () => {
  fitText();
  showReady();
  if ($("text").value && Date.now() - typingSent > TYPING_SENT_EVERY && send({ type: "typing" })) typingSent = Date.now();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || !send({ type: "say", text })) return; // what was written stays until it can be sent
  $("text").value = "";
  typingSent = 0;
  fitText();
  showReady();
  $("text").focus();
});

function fitText() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight}px`;
}

$("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  me.rename($("my-name").value.trim() || me.name);
  send({ type: "rename", name: me.name });
  $("my-name").blur();
});

$("new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  const plain = $("new-room-name").value.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const name = plain.slice(0, 24).replace(/^-+|-+$/g, "");
  if (name) location.href = `/rooms/${name}`;
});

$("copy").addEventListener("click", async () => {
  const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  mention(copied ? "Link copied" : "Copy the link from the address bar");
});

$("newer").addEventListener("click", toNewest);
$("scroll").addEventListener("scroll", () => {
  const { scrollTop, scrollHeight, clientHeight } = $("scroll");
  if (scrollHeight - scrollTop - clientHeight < 60) $("newer").hidden = true;
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  showUnread(0);
  connect();
});
window.addEventListener("online", connect);
window.addEventListener("pageshow", (event) => event.persisted && connect());

// A phone turned to a wide screen shows the side beside the conversation.
matchMedia("(max-width: 760px)").addEventListener("change", () => $("side").hidePopover());

$("room").textContent = room;
$("my-name").value = me.name;
me.rename(me.name);
showUnread(0);
showRooms({ [room]: 0 });
connect();
