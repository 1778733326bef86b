// The page: live topology, explanation, rules and connections of a running Waypost.

import { onSecretNeeded } from "./api";
import { setTime } from "./clock";
import { Connections } from "./connections";
import { askForSecret } from "./dialogs";
import { setAttribute, setText } from "./dom";
import { Explain } from "./explain";
import { follow, type Link } from "./live";
import { showModes } from "./mode";
import { Rules } from "./rules";
import { Speeds } from "./speeds";
import { Topology } from "./topology";
import { Totals } from "./totals";
import type { Frame } from "./types";

onSecretNeeded(askForSecret);

const speeds = new Speeds();
const totals = new Totals();
const topology = new Topology(speeds);
const explain = new Explain();
const rules = new Rules();
const connections = new Connections();
document
  .getElementById("main")
  ?.replaceChildren(totals.element, topology.element, explain.element, rules.element, connections.element);

let generation = 0;
let lastTime = "";

function onFrame(frame: Frame): void {
  const isNew = frame.time !== lastTime;
  lastTime = frame.time;
  setTime(frame.time);
  if (isNew) speeds.take(frame);
  totals.show(frame, isNew);
  // A page that nobody sees is drawn when somebody looks again: the next frame is a second away.
  if (document.hidden) return;
  topology.show(frame);
  rules.show(frame);
  explain.show(frame);
  if (frame.generation !== generation) {
    generation = frame.generation;
    void showModes();
    void connections.refresh();
  }
}

function onLink(link: Link): void {
  const element = document.getElementById("link");
  if (element === null) return;
  document.body.classList.toggle("stale", link.kind === "lost");
  setAttribute(element, "data-link", link.kind);
  switch (link.kind) {
    case "connecting":
      setText(element, "connecting");
      break;
    case "live":
      setText(element, "live");
      break;
    case "lost":
      setText(element, `link lost: ${link.why}; trying again, figures are old`);
      break;
  }
}

void follow(onFrame, onLink);
