// Width x height x bands of a TIFF, from its first directory: what the server's limit on values counts.

const WIDTH = 256;
const HEIGHT = 257;
const SAMPLES = 277;

// null where the file is no TIFF, or not one that is read here: the server decides then.
export async function valuesOf(file) {
  try {
    const head = await viewOf(file, 0, 16);
    const order = head.getUint16(0);
    if (order !== 0x4949 && order !== 0x4d4d) return null;
    const little = order === 0x4949;
    const kind = head.getUint16(2, little);
    if (kind !== 42 && kind !== 43) return null;
    const tags = await tagsOf(file, head, little, kind === 43);
    return (tags[WIDTH] * tags[HEIGHT] * (tags[SAMPLES] ?? 1)) || null;
  } catch {
    return null;
  }
}

async function tagsOf(file, head, little, big) {
  const start = big ? Number(head.getBigUint64(8, little)) : head.getUint32(4, little);
  const countBytes = big ? 8 : 2;
  const entryBytes = big ? 20 : 12;
  const countView = await viewOf(file, start, countBytes);
  const count = big ? Number(countView.getBigUint64(0, little)) : countView.getUint16(0, little);
  const view = await viewOf(file, start + countBytes, Math.min(count, 200) * entryBytes);
  const tags = {};
  for (let at = 0; at + entryBytes <= view.byteLength; at += entryBytes) {
    const short = view.getUint16(at + 2, little) === 3;
    const valueAt = at + (big ? 12 : 8);
    tags[view.getUint16(at, little)] = short ? view.getUint16(valueAt, little) : view.getUint32(valueAt, little);
  }
  return tags;
}

async function viewOf(file, start, length) {
  return new DataView(await file.slice(start, start + length).arrayBuffer());
}
