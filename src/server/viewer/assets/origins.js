// Where entries come from. A pair of source and path is stored once and named by a small number afterwards.

/** All origins seen, by number: `source`, `path`, `name` as shown in a row, `hue` of its colour. */
export const origins = [];

const numbers = new Map();
const filesOfSource = new Map();

/** The number of an origin. */
export function originNumber(source, path) {
  const key = `${source}\0${path}`;
  const known = numbers.get(key);
  if (known !== undefined) return known;
  const number = origins.length;
  origins.push({ source, path, name: source, hue: hueOf(source), file: path.slice(path.lastIndexOf("/") + 1) });
  numbers.set(key, number);
  nameSource(source, number);
  return number;
}

/** A source of one file is called by its name; of several, each is called by source and file. */
function nameSource(source, number) {
  const siblings = filesOfSource.get(source) ?? [];
  siblings.push(number);
  filesOfSource.set(source, siblings);
  if (siblings.length < 2) return;
  for (const sibling of siblings) {
    const file = origins[sibling].file.replace(/\.log$/, "");
    origins[sibling].name = file === source ? source : `${source}/${file}`;
  }
}

/** A steady hue for a name, away from the red that belongs to errors. */
export function hueOf(name) {
  let hash = 2166136261;
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
  return 70 + ((hash >>> 0) % 257);
}
