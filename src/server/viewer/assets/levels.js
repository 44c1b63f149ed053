// Severities: the protocol's numbers, the words shown for them, and the chips that group them.

/** Every severity of the protocol: number, name that the `level` field takes, word in a row, class for its colour. */
export const SEVERITIES = [
  { number: 0, name: "", word: "", proto: "SEVERITY_UNSPECIFIED", css: "none" },
  { number: 1, name: "trace", word: "TRACE", proto: "SEVERITY_TRACE", css: "trace" },
  { number: 5, name: "debug", word: "DEBUG", proto: "SEVERITY_DEBUG", css: "debug" },
  { number: 9, name: "info", word: "INFO", proto: "SEVERITY_INFO", css: "info" },
  { number: 10, name: "notice", word: "NOTICE", proto: "SEVERITY_NOTICE", css: "notice" },
  { number: 13, name: "warn", word: "WARN", proto: "SEVERITY_WARN", css: "warn" },
  { number: 17, name: "error", word: "ERROR", proto: "SEVERITY_ERROR", css: "error" },
  { number: 18, name: "critical", word: "CRIT", proto: "SEVERITY_CRITICAL", css: "fatal" },
  { number: 19, name: "alert", word: "ALERT", proto: "SEVERITY_ALERT", css: "fatal" },
  { number: 21, name: "fatal", word: "FATAL", proto: "SEVERITY_FATAL", css: "fatal" },
];

/** From this number on an entry counts as an error. */
export const ERROR_MIN = 17;

/** The chips, mildest first; `from..to` is what they select on their own. */
export const CHIPS = [
  { label: "Trace", css: "trace", from: "trace", to: "trace" },
  { label: "Debug", css: "debug", from: "debug", to: "debug" },
  { label: "Info", css: "info", from: "info", to: "info" },
  { label: "Notice", css: "notice", from: "notice", to: "notice" },
  { label: "Warn", css: "warn", from: "warn", to: "warn" },
  { label: "Error", css: "error", from: "error", to: "error" },
  { label: "Fatal", css: "fatal", from: "critical", to: "fatal" },
];

const BY_NUMBER = new Array(256).fill(SEVERITIES[0]);
for (const severity of SEVERITIES) BY_NUMBER[severity.number] = severity;
const BY_PROTO = new Map(SEVERITIES.map((severity) => [severity.proto, severity.number]));
/** Other names that the server takes, too. */
const ALIASES = {
  trace: ["verbose"],
  debug: ["7"],
  info: ["information", "6"],
  notice: ["5"],
  warn: ["warning", "4"],
  error: ["err", "severe", "3"],
  critical: ["crit", "2"],
  alert: ["1"],
  fatal: ["emerg", "emergency", "panic", "0"],
};
const BY_NAME = new Map(
  SEVERITIES.slice(1).flatMap(({ name, number }) => [name, ...ALIASES[name]].map((each) => [each, number])),
);

/** The severity of a number; one that is not known reads as none. */
export function severityOf(number) {
  return BY_NUMBER[number & 255];
}

/** The number of ProtoJSON's enum, by name or by number. */
export function severityNumber(json) {
  return typeof json === "number" ? json : (BY_PROTO.get(json) ?? 0);
}

/** Numbers that a `level` selects, both ends included; null when it selects everything, undefined when it is no level. */
export function levelRange(level) {
  if (level === "") return null;
  const [from, to] = level.toLowerCase().split("..");
  const min = BY_NAME.get(from);
  const max = to === undefined ? 255 : BY_NAME.get(to);
  return min === undefined || max === undefined || min > max ? undefined : { min, max };
}

/** A level that `levelRange` knows, by the names that are shown. */
export function levelName(level) {
  const names = level.toLowerCase().split("..");
  return names.map((name) => severityOf(BY_NAME.get(name)).name).join("..");
}
