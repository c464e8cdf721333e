// Where a map lies: on the Earth, or in pixel space, where a row and a column are all there is.

const EARTH_TILE = 256;

export function spaceOf(info) {
  return info.georeferenced ? earth(info) : pixels(info);
}

function earth(info) {
  const [west, south, east, north] = info.bounds;
  return {
    crs: L.CRS.EPSG3857,
    bounds: L.latLngBounds([south, west], [north, east]),
    place: (latlng) => {
      const { lat, lng } = latlng.wrap();
      return { lon: lng.toFixed(7), lat: lat.toFixed(7) };
    },
  };
}

function pixels(info) {
  const at = (col, row) => L.CRS.Simple.pointToLatLng(L.point(col, row), info.max_zoom);
  return {
    crs: L.CRS.Simple,
    bounds: L.latLngBounds(at(0, 0), at(info.width, info.height)),
    place: (latlng) => {
      const point = L.CRS.Simple.latLngToPoint(latlng, info.max_zoom);
      return { row: Math.floor(point.y), col: Math.floor(point.x) };
    },
  };
}

// The numbers a JSON body takes; an address takes them as they are.
export function placeNumbers(place) {
  return Object.fromEntries(Object.entries(place).map(([name, value]) => [name, Number(value)]));
}

export function boundsOf([west, south, east, north]) {
  return L.latLngBounds([south, west], [north, east]);
}

// Two maps can lie on one another where both are on the Earth, or both are the same grid of pixels.
export function comparable(one, other) {
  if (one.georeferenced !== other.georeferenced) return false;
  return one.georeferenced || (one.width === other.width && one.height === other.height && one.max_zoom === other.max_zoom);
}

export function tileOptions(info, more = {}) {
  return {
    tileSize: EARTH_TILE,
    bounds: spaceOf(info).bounds,
    minNativeZoom: info.min_zoom,
    maxNativeZoom: info.max_zoom,
    maxZoom: info.max_zoom + 20,
    minZoom: -20,
    noWrap: !(info.georeferenced && info.bounds[2] > 180), // a map across the antimeridian has tiles on both ends of the world
    ...more,
  };
}
