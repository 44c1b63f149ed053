// What the stream itself has to say, in words. Shown in the list, at the place where it happened.

import { bytesText } from "./dom.js";

/** The notice of an event, or null for those that are only counted on. */
export function noticeOfEvent(event) {
  const name = event.path || event.source || "a file";
  if (event.kind === "gap") return { tone: "gap", text: `Gap: ${gapText(event)} of ${name}` };
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

function gapText({ reason, bytes }) {
  const size = bytes ? bytesText(bytes) : "an unknown number of bytes";
  if (reason === "truncated") return `${size} truncated before they were read`;
  if (reason === "deleted") return `${size} deleted before they were read`;
  if (reason === "resume lost") return `${size} gone since the last connection`;
  return `${size} missing`;
}
