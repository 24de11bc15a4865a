"use strict";
// The loop on one page count per quota window, and its kind of verdict, as tieringmodel.loop and tieringmodel.verdict have them.
const MOST = (1n << 64n) - 1n, WHOLE = 10000n, PAGE = 4096;

function fed(last, score) { // damon_feed_loop_next_input, 64-bit unsigned
  if (score === 10000) return last;
  if (score >= 20000) return WHOLE;
  const over = score > 10000, distance = BigInt(over ? score - 10000 : 10000 - score);
  const change = last < MOST / distance ? last * distance / WHOLE : last / WHOLE * distance;
  if (over) return last > change && last - change > WHOLE ? last - change : WHOLE;
  return last < MOST - change ? last + change : MOST;
}

const u64 = x => BigInt.asUintN(64, x);

function mixed(x) { // splitmix64's finaliser
  x = u64((x ^ (x >> 30n)) * 0xBF58476D1CE4E5B9n);
  x = u64((x ^ (x >> 27n)) * 0x94D049BB133111EBn);
  return x ^ (x >> 31n);
}

function normal(scale, key, k) { // a rounded normal draw, a pure function of key and counter
  const bits = counter => Number(mixed(u64(key + u64((counter + 1n) * 0x9E3779B97F4A7C15n))) >> 11n);
  const first = (bits(2n * BigInt(k)) + 0.5) * 2 ** -53, second = (bits(2n * BigInt(k) + 1n) + 0.5) * 2 ** -53;
  const value = scale * Math.sqrt(-2 * Math.log(first)) * Math.cos(2 * Math.PI * second);
  const low = Math.floor(value), rest = value - low;
  return rest === 0.5 ? low + Math.abs(low % 2) : Math.round(value);
}

// p: tuner, target_bp, n_pages, start_pages, cap_bytes (or null), delay, leak_pages, leak_rate, capacity_pages (or null),
// early_exit, noise_bp, direction, windows, seed. Whole numbers below 2**39 pages are exact.
function loop(p) {
  const goal = p.target_bp, n_pages = p.n_pages, inward = p.direction !== "out", key = mixed(BigInt(p.seed));
  const cap = p.cap_bytes === null ? MOST : BigInt(p.cap_bytes), ceiling = Math.min(p.capacity_pages ?? n_pages, n_pages);
  const out = { pages: [], moved: [], leaked: [], esz: [], measured: [], score: [], final_pages: 0 };
  let n = p.start_pages, state = 0n;
  for (let k = 0; k < p.windows; k++) {
    out.pages.push(n);
    let cur = Math.floor(out.pages[Math.max(k - p.delay, 0)] * 10000 / n_pages);
    if (p.noise_bp > 0) cur = Math.min(Math.max(cur + normal(p.noise_bp, key, k), 0), 10000);
    const score = Math.floor(cur * 10000 / goal);
    if (p.tuner === "consist") state = fed(state < WHOLE ? WHOLE : state, score);
    else state = score >= 10000 ? 0n : cap > 0n && cap <= MOST / WHOLE ? cap * WHOLE : MOST;
    const esz = state / WHOLE < cap ? state / WHOLE : cap;
    const stopped = p.early_exit && (inward ? cur >= goal : cur <= goal);
    const moved = stopped ? 0 : Math.min(Number(esz / 4096n), inward ? ceiling - n : n);
    const after = inward ? n + moved : n - moved;
    const leaked = Math.min(after, p.leak_pages + Math.trunc(p.leak_rate * n));
    out.moved.push(moved); out.leaked.push(leaked); out.esz.push(esz); out.measured.push(cur); out.score.push(score);
    n = after - leaked;
  }
  out.final_pages = n;
  return out;
}

const sum = a => a.reduce((s, v) => s + v, 0), mean = a => sum(a) / a.length;
const least = a => a.reduce((m, v) => Math.min(m, v), Infinity), most = a => a.reduce((m, v) => Math.max(m, v), -Infinity);

function vertex(a, at) {
  if (at <= 0 || at >= a.length - 1) return at;
  const [left, middle, right] = [a[at - 1], a[at], a[at + 1]], bend = left - 2 * middle + right;
  return at + (bend < 0 ? 0.5 * (left - right) / bend : 0);
}

function period(y) { // the largest peak of the periodogram and the first of the autocorrelation agree, or NaN
  const middle = mean(y), c = y.map(v => v - middle), power = sum(c.map(v => v * v)), size = y.length;
  if (size < 8 || power <= 1e-18 * Math.max(1, sum(y.map(v => v * v)))) return NaN;
  const nfft = 8 * size, shaped = c.map((v, i) => v * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / size))), density = [];
  for (let k = 0; k <= nfft / 2; k++) {
    const step = 2 * Math.PI * k / nfft, turn = 2 * Math.cos(step);
    let a = 0, b = 0; // Goertzel
    for (const v of shaped) { const next = v + turn * a - b; b = a; a = next; }
    density.push((a * a + b * b - turn * a * b) * (k === 0 || k === nfft / 2 ? 1 : 2));
  }
  let peak = 1;
  for (let k = 2; k < density.length; k++) if (density[k] > density[peak]) peak = k;
  const by_frequency = nfft / vertex(density, peak), lags = size >> 1, acf = [];
  for (let lag = 0; lag <= lags; lag++) {
    let s = 0;
    for (let i = lag; i < size; i++) s += c[i] * c[i - lag];
    acf.push(s / (size - lag));
  }
  for (let i = 1; i < acf.length - 1; i++) {
    if (!(acf[i - 1] < acf[i])) continue;
    let j = i;
    while (j < acf.length - 1 && acf[j + 1] === acf[i]) j++;
    if (j < acf.length - 1 && acf[j + 1] < acf[i] && acf[i] / acf[0] >= 0.2) {
      const by_lag = vertex(acf, (i + j) >> 1);
      return Math.abs(by_frequency - by_lag) <= 0.1 * by_lag ? by_lag : NaN;
    }
  }
  return NaN;
}

function repeats(y, length, share) {
  if (!isFinite(length)) return false;
  const low = Math.floor(length), lag = length - low === 0.5 ? low + low % 2 : Math.round(length);
  if (lag <= 0 || lag > y.length >> 1) return false;
  const one = y.slice(0, -lag), two = y.slice(lag), a = mean(one), b = mean(two);
  let cross = 0, first = 0, second = 0;
  one.forEach((v, i) => { const u = v - a, w = two[i] - b; cross += u * w; first += u * u; second += w * w; });
  const scale = Math.sqrt(first * second);
  return scale > 0 && cross > share * scale;
}

function undone(run, p, within) { // the expected share of moves whose page is back within some windows
  const counted = run.moved.length - within;
  if (counted < 1) return NaN;
  const inward = p.direction !== "out";
  const chance = run.leaked.map((v, k) => { const on = run.pages[k] + run.moved[k]; return inward && on > 0 ? v / on : 0; });
  let moves = 0, back = 0;
  for (let k = 0; k < counted; k++) {
    moves += run.moved[k];
    let stay = 1;
    for (let later = 1; later <= within; later++) stay *= 1 - chance[k + later];
    if (inward) back += run.moved[k] * (1 - stay);
  }
  return moves ? back / moves : 0;
}

function judged(run, p) {
  const windows = run.moved.length, tail = windows >= 200 ? Math.min(windows, Math.max(100, Math.ceil(windows / 5))) : Math.max(1, windows >> 1);
  const y = [...run.pages, run.final_pages].map(n => n / p.n_pages * 10000), target = p.target_bp, band = 0.02 * target;
  const late = y.slice(-tail), moved = run.moved.slice(-tail), off = late.map(v => Math.abs(v - target));
  const residual = mean(moved), swing = (most(late) - least(late)) / 2;
  const inside = most(off) <= band + 1e-9, last = y.findLastIndex(v => Math.abs(v - target) > band + 1e-9) + 1;
  const sign = Math.sign(target - y[0]);
  const found = {
    settling_windows: y.length - 1 - last >= 100 ? last : Infinity, residual_pages: residual, swing_bp: swing,
    overshoot_bp: Math.max(0, most(y.map(v => sign * (v - target)))), error_bp: mean(late) - target, y_bp: y,
  };
  found.kind = kind();
  return found;

  function kind() {
    const within = Math.max(1, Math.min(10, (windows - 1) >> 1)), inward = p.direction !== "out";
    if (inside && residual / p.n_pages <= 1e-4 && undone(run, p, within) <= 0.01) return "converged";
    if (!inward) return "wrong-polarity";
    const ceiling = Math.min(p.capacity_pages ?? p.n_pages, p.n_pages);
    if (!moved.some(v => v)) {
      const wants = Math.floor(run.final_pages * 10000 / p.n_pages) < target;
      return wants ? (ceiling - run.final_pages === 0 ? "saturated" : "stuck") : inside ? "ripple" : "wrong-point";
    }
    const cap = p.cap_bytes === null ? Infinity : Math.floor(Number(p.cap_bytes) / PAGE);
    const limited = moved.every((v, i) => {
      const k = windows - tail + i;
      return v === Math.min(ceiling - run.pages[k], cap) && run.esz[k] >= 4096n && run.score[k] < 10000;
    });
    if (limited && mean(late) < target - band) return "saturated";
    if (inside) return "ripple";
    const half = tail >> 1;
    if (half) {
      const second = off.slice(half), grown = most(second) > 1.1 * most(off.slice(0, half)) + 0.1 * band;
      if (least(second) > band && grown) return "runaway";
    }
    const random = p.noise_bp > 0;
    if (swing > band && repeats(late, period(late), random ? 0.9 : 0.5)) return "limit-cycle";
    const around = least(late) < target && target < most(late);
    if (swing > band && !random && around) return "limit-cycle";
    const about = least(late) <= target && target <= most(late);
    return about || Math.abs(mean(late) - target) <= band ? "ripple" : "wrong-point";
  }
}

// ---- page
{
const fixed = JSON.parse(document.getElementById("facts").textContent), by = id => document.getElementById(id);
const MIB = 1048576, left = 52, above = 24, split = 214, floor = 304;
let width = 920;

function fit() { // drawn for the width that there is, so that no letter shrinks
  const chart = by("chart");
  width = Math.max(300, Math.round(chart.parentElement.clientWidth));
  chart.setAttribute("viewBox", `0 0 ${width} 330`);
  chart.querySelectorAll(".grid, .axis").forEach(one => one.setAttribute("d", one.getAttribute("d").replace(/H.*/, "H" + (width - 20))));
  by("band").setAttribute("width", width - 20 - left); by("end").setAttribute("x", width - 20);
  redraw();
}

function settings() {
  const v = Object.fromEntries(fixed.knobs.map(k => [k.name, k.steps[by(k.name).value].value]));
  const n_pages = Math.max(1, Math.round(v.hot_mib * MIB / PAGE)), share = v.leak_percent_per_s / 100;
  return {
    v, tuner: document.querySelector("input[name=tuner]:checked").value, direction: "in", target_bp: v.target_bp, n_pages,
    start_pages: Math.floor(n_pages * v.start_bp / 10000), cap_bytes: v.quota_mib ? BigInt(Math.round(v.quota_mib * MIB)) : null,
    delay: Math.ceil(v.delay_ms / v.interval_ms), leak_pages: 0, capacity_pages: null, early_exit: by("early_exit").checked,
    leak_rate: share >= 1 ? 1 : -Math.expm1(Math.log1p(-share) * v.interval_ms / 1000), noise_bp: v.noise_bp,
    windows: Math.min(Math.max(Math.round(fixed.duration_s * 1000 / v.interval_ms), 20), 2000), seed: "1",
  };
}

function path(values, x, y) { return values.map((v, k) => (k ? "L" : "M") + x(k).toFixed(1) + " " + y(v).toFixed(1)).join(""); }

function redraw() {
  const p = settings(), run = loop(p), found = judged(run, p), step = p.v.interval_ms / 1000, n = run.moved.length;
  const x = k => left + (width - left - 20) * k / n, y = bp => split - (split - above) * bp / 10000;
  const rate = run.moved.map(m => m * PAGE / MIB / step), scale = Math.log1p(most(rate) / 0.1) || 1;
  const r = v => floor - (floor - split - 24) * Math.log1p(v / 0.1) / scale, band = 0.02 * p.target_bp;
  by("share").setAttribute("d", path(found.y_bp, x, y));
  by("rate").setAttribute("d", `M${x(0)} ${floor}` + rate.map((v, k) => `V${r(v).toFixed(1)}H${x(k + 1).toFixed(1)}`).join("") + `V${floor}`);
  by("target").setAttribute("d", `M${left} ${y(p.target_bp).toFixed(1)}H${width - 20}`);
  by("band").setAttribute("y", y(p.target_bp + band)); by("band").setAttribute("height", y(p.target_bp - band) - y(p.target_bp + band));
  by("end").textContent = `${+(n * step).toPrecision(4)} s`; by("most").textContent = `${+most(rate).toPrecision(3)}`;
  const settled = isFinite(found.settling_windows) ? `settled after ${+(found.settling_windows * step).toPrecision(4)} s` : "never settles";
  const words = `${found.kind}: ${settled}, ${found.error_bp >= 0 ? "+" : ""}${found.error_bp.toFixed(0)} bp from the target in the tail, overshoot ` +
    `${found.overshoot_bp.toFixed(0)} bp, swing ±${found.swing_bp.toFixed(0)} bp, ${+(found.residual_pages * PAGE / MIB / step).toPrecision(3)} MiB/s go on`;
  by("verdict").textContent = words; by("chart").setAttribute("aria-label", `Share on the goal's node over time. ${words}`);
  for (const k of fixed.knobs) by(k.name + "_now").textContent = k.steps[by(k.name).value].text;
  by("line").textContent = line(p);
  return { settings: p, run, found };
}

function line(p) { // the user's own line with what the sliders say
  const words = fixed.words.slice(), set = (place, value) => { if (place !== null) words[place] = String(value); };
  set(fixed.places.quota, p.cap_bytes ?? 0); set(fixed.places.interval, p.v.interval_ms);
  set(fixed.places.target, p.target_bp); set(fixed.places.tuner, p.tuner);
  const shell = w => /^[\w@%+=:,./-]+$/.test(w) ? w : "'" + w.replaceAll("'", "'\"'\"'") + "'";
  return words.map((w, k) => (k && w.startsWith("--") ? "\\\n    " : "") + shell(w)).join(" ");
}

let asked = 0;
function later() { cancelAnimationFrame(asked); asked = requestAnimationFrame(redraw); }
document.querySelectorAll("input").forEach(one => one.addEventListener("input", later));
by("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(by("line").textContent); by("copied").textContent = "copied"; }
  catch { getSelection().selectAllChildren(by("line")); by("copied").textContent = "marked: copy it with your keyboard"; }
});
by("reset").addEventListener("click", () => { document.querySelector("form").reset(); redraw(); });
addEventListener("resize", fit);
fit();
Object.assign(globalThis, { settings, redraw });
}
