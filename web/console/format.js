// SPDX-License-Identifier: Apache-2.0

// As kubectl prints ages: two units below a week, then days.
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const m = Math.floor(s / 60), h = Math.floor(s / 3600), d = Math.floor(h / 24);
  const two = (big, unit, small, smallUnit) => small ? `${big}${unit}${small}${smallUnit}` : `${big}${unit}`;
  if (s < 120) return `${s}s`;
  if (m < 10) return two(m, "m", s % 60, "s");
  if (m < 180) return `${m}m`;
  if (h < 8) return two(h, "h", m % 60, "m");
  if (h < 48) return `${h}h`;
  if (d < 8) return two(d, "d", h % 24, "h");
  return `${d}d`;
}

export const age = (timestamp) => timestamp ? duration((Date.now() - Date.parse(timestamp)) / 1000) : "";

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  const units = ["kB", "MB", "GB", "TB", "PB", "EB"];
  let i = -1;
  do { n /= 1000; i++; } while (n >= 999.95 && i < units.length - 1);
  return `${n.toFixed(1)} ${units[i]}`;
}

export const count = (n) => Number(n).toLocaleString("en");
