"""The fuzzing client of Autobahn|Testsuite: an environment for it, the server it talks to, and what it says."""
