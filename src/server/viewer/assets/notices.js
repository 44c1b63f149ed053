// What the stream itself has to say, in words. Shown in the list, at the place where it happened.

import { bytesText } from "./dom.js";

/** The notice of an event, or null for those that are only counted on. */
export function noticeOfEvent(event) {
  const name = event.path || event.source || "a file";
  if (event.kind === "gap") return { tone: "gap", text: `Gap: ${gapText(event, name)}` };
  if (event.kind === "fileChange") {
    const text = {
      added: `New file: ${name}`,
      rotated: `Rotated: ${name}`,
      truncated: `Truncated: ${name}`,
      removed: `Removed: ${name}`,
    }[event.change];
    return text ? { tone: event.change === "added" || event.change === "rotated" ? "info" : "warn", text } : null;
  }
  return null;
}

function gapText({ reason, bytes }, name) {
  const lost = `${bytes ? bytesText(bytes) : "an unknown part"} of ${name}`;
  if (reason === "truncated") return `${lost} was truncated before it was read`;
  if (reason === "deleted") return `${lost} was deleted before it was read`;
  if (reason === "resume lost") return `${lost} has gone since the last connection`;
  return `${lost} is missing`;
}
