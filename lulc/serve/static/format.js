// Numbers as people read them.

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (count >= 1000 && power < units.length - 1) { count /= 1000; power += 1; }
  return `${count.toFixed(power && count < 100 ? 1 : 0)} ${units[power]}`;
}

export function percent(share) {
  if (share === 0 || share === 1) return `${100 * share} %`;
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

export const count = (number) => number.toLocaleString("en", { maximumFractionDigits: 0 });

// Areas of one table have the same decimals, by its total; what is less than the last of them is not called nothing.
export function areaFormat(total, whole) {
  const digits = whole || total >= 1000 ? 0 : total >= 10 ? 1 : 2;
  const least = 10 ** -digits;
  const fixed = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return (number) => {
    if (number === 0) return "0";
    return number < least / 2 ? `< ${least}` : number.toLocaleString("en", fixed);
  };
}

export function difference(number, format) {
  const size = format(Math.abs(number));
  if (size.startsWith("<") || Number(size) === 0) return "0";
  return `${number > 0 ? "+" : "−"}${size}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function lonLat(lon, lat) {
  const north = `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}`;
  return `${north}, ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
}

export const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;
