// The histogram, its threshold line, and the counts that follow the line.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { many, newRate } = blemish;
  const get = (id) => document.getElementById(id);
  const calibrated = data.threshold;
  let threshold = calibrated;

  const short = (value) => String(Number(value.toPrecision(5)));

  // ---- Counts and rates at the threshold ----

  const scoresOf = { good: data.good, defective: data.defective.map(([score]) => score) };

  function above(scores) {
    let count = 0;
    for (const score of scores) if (score > threshold) count += 1;
    return count;
  }

  const show = Object.fromEntries(
    ["Recall", "False rejects", "Precision"].map((name) => [name, newRate(get("rates"), name)]),
  );
  const kinds = data.kinds.map((name, index) => ({
    show: newRate(get("kinds"), name),
    scores: data.defective.filter(([, , of]) => of.includes(index)).map(([score]) => score),
  }));
  get("kinds-section").hidden = kinds.length === 0;

  function showCounts() {
    const [good, defective] = [scoresOf.good.length, scoresOf.defective.length];
    const [fp, tp] = [above(scoresOf.good), above(scoresOf.defective)];
    const [tn, fn] = [good - fp, defective - tp];
    for (const [id, count] of Object.entries({ tn, fp, fn, tp })) get(id).textContent = many(count);
    get("fp").classList.toggle("zero", fp === 0);
    get("fn").classList.toggle("zero", fn === 0);
    show.Recall(tp, defective);
    show["False rejects"](fp, good);
    show.Precision(tp, tp + fp);
    for (const kind of kinds) kind.show(above(kind.scores), kind.scores.length);
    const product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn);
    get("mcc").textContent = product
      ? ((tp * tn - fp * fn) / Math.sqrt(product)).toFixed(3)
      : "–";
    return `${fp} of ${good} good parts rejected, ${tp} of ${defective} defective parts caught`;
  }

  // ---- The axis: linear, or compressed where the bulk would be too narrow to read ----

  const all = [...scoresOf.good, ...scoresOf.defective].sort((a, b) => a - b);
  const ends = [...all, calibrated, ...(data.oracle === null ? [] : [data.oracle])];
  const lowest = ends.reduce((a, b) => Math.min(a, b));
  const highest = ends.reduce((a, b) => Math.max(a, b));
  const bulk = scoresOf.good.length ? [...scoresOf.good].sort((a, b) => a - b) : all;
  const quantile = (share) => bulk[Math.round(share * (bulk.length - 1))] ?? calibrated;
  const spread = quantile(0.95) - quantile(0.05);
  const longTails = spread > 0 && highest - lowest > 10 * spread;

  const scales = {
    linear: { to: (score) => score, from: (place) => place },
    compressed: {
      to: (score) => Math.asinh((score - quantile(0.5)) / spread),
      from: (place) => quantile(0.5) + spread * Math.sinh(place),
    },
  };
  let scale = longTails ? scales.compressed : scales.linear;
  get("axis").hidden = !longTails;

  // ---- The histogram ----

  const svg = get("chart");
  const escape = (words) =>
    words.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const colourClass = (index) =>
    ["several", "other"][data.colours.length - 1 - index] ?? `k${index}`;
  let plot = null; // what was drawn last: its edges in pixels and in places on the axis

  function layOut() {
    const width = Math.max(280, Math.round(svg.getBoundingClientRect().width));
    const [left, right] = [34, width - 10];
    // Parts with the very score of the threshold are passed, so a bin holds its upper edge; and
    // the calibrated threshold is such an edge.
    const anchor = scale.to(calibrated);
    let [first, last] = [scale.to(lowest), scale.to(highest)];
    if (first === last) {
      const some = Math.abs(first) / 10 || 1;
      [first, last] = [first - some, last + some];
    }
    const enough = Math.max(20, Math.round(4 * Math.sqrt(all.length)));
    const bins = Math.min(Math.floor(width / 10), enough);
    const step = (last - first) / bins;
    const from = Math.floor((first - anchor) / step - 0.5);
    const to = Math.ceil((last - anchor) / step + 0.5);
    const [start, end] = [anchor + from * step, anchor + to * step];
    const x = (place) => left + ((place - start) / (end - start)) * (right - left);
    const placeAt = (pixel) => start + ((pixel - left) / (right - left)) * (end - start);
    const bin = (score) =>
      Math.min(to - from - 1, Math.max(0, Math.ceil((scale.to(score) - anchor) / step) - 1 - from));
    return { width, left, right, start, step, count: to - from, x, placeAt, bin };
  }

  function niceStep(span, wanted) {
    const rough = span / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  }

  function ticks() {
    const wanted = Math.max(3, Math.round((plot.right - plot.left) / 110));
    if (scale === scales.linear) {
      const [from, to] = [plot.placeAt(plot.left), plot.placeAt(plot.right)];
      const step = niceStep(to - from, wanted);
      const decimals = Math.max(0, Math.min(100, -Math.floor(Math.log10(step) + 1e-9)));
      const marks = [];
      for (let i = Math.ceil(from / step); i * step <= to; i += 1) {
        marks.push([i * step, (i * step).toFixed(decimals)]);
      }
      return marks;
    }
    const marks = new Map();
    for (let i = 0; i <= wanted; i += 1) {
      const place = plot.left + (i / wanted) * (plot.right - plot.left);
      const near = scale.from(plot.placeAt(place));
      const step = niceStep(scale.from(plot.placeAt(place + 40)) - near, 2);
      const value = Math.round(near / step) * step;
      const pixel = plot.x(scale.to(value));
      const clear = [...marks.values()].every((other) => Math.abs(other - pixel) > 55);
      const inside = pixel >= plot.left && pixel <= plot.right;
      if (clear && inside) marks.set(Number(value.toPrecision(6)), pixel);
    }
    return [...marks.keys()].map((value) => [value, String(value)]);
  }

  function binCounts(items, layers) {
    const counts = Array.from({ length: plot.count }, () => new Array(layers).fill(0));
    for (const [score, layer] of items) counts[plot.bin(score)][layer] += 1;
    return counts;
  }

  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const most = (counts) => Math.max(0, ...counts.map(sum));

  function bars(counts, unit, base, direction, kindOf, nameOf) {
    const drawn = [];
    counts.forEach((layers, index) => {
      const left = plot.x(plot.start + index * plot.step);
      const width = Math.max(1, plot.x(plot.start + (index + 1) * plot.step) - left - 1);
      let stacked = 0;
      layers.forEach((count, layer) => {
        if (count === 0) return;
        // One block a part where that is large enough to be seen, else one bar.
        const blocks = unit >= 5 ? count : 1;
        const size = (count * unit) / blocks;
        const gap = unit >= 5 ? 1 : 0;
        const words = escape(`${count} ${nameOf(layer)}`);
        for (let block = 0; block < blocks; block += 1) {
          const near = base + direction * (stacked + block * size);
          const y = direction < 0 ? near - size : near;
          drawn.push(
            `<rect class="${kindOf(layer)}" x="${left.toFixed(1)}" width="${width.toFixed(1)}"` +
              ` y="${(y + gap / 2).toFixed(1)}" height="${Math.max(0.5, size - gap).toFixed(1)}">` +
              `<title>${words}</title></rect>`,
          );
        }
        stacked += count * unit;
      });
    });
    return drawn.join("");
  }

  function countTicks(largest, unit, base, direction) {
    const step = Math.max(1, niceStep(Math.max(1, largest), 3));
    const marks = [];
    for (let count = step; count <= largest; count += step) {
      const y = base + direction * count * unit;
      marks.push(
        `<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${y}" y2="${y}"/>` +
          `<text class="tick" x="${plot.left - 5}" y="${y + 4}" text-anchor="end">${count}</text>`,
      );
    }
    return marks.join("");
  }

  function draw() {
    plot = layOut();
    const good = binCounts(scoresOf.good.map((score) => [score, 0]), 1);
    const defective = binCounts(data.defective, data.colours.length);
    const [up, down] = [most(good), most(defective)];
    const [top, below, band, largestUnit] = [46, 26, 12, 26];
    const full = plot.width < 560 ? 330 : 400;
    const wanted = top + below + 2 * band + (up + down) * largestUnit;
    const height = Math.min(full, Math.max(240, wanted));
    const bottom = height - below;
    const room = bottom - top - 2 * band;
    // One count scale for both halves, unless one of them would be flattened by it.
    const shared = Math.max(up, down) <= 4 * Math.min(up, down);
    const upper = shared ? Math.min(0.7, Math.max(0.3, up / (up + down) || 0.5)) : 0.5;
    const middle = Math.round(top + band + room * upper);
    const [over, under] = [middle - band, middle + band];
    const units = [(over - top) / Math.max(1, up), (bottom - under) / Math.max(1, down), largestUnit];
    const unit = (half) => (shared ? Math.min(...units) : Math.min(units[half], largestUnit));
    const { width, left, right } = plot;
    Object.assign(plot, { top, bottom });
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    const centred = 'text-anchor="middle"';
    const empty = (words, y) =>
      `<text class="empty" x="${(left + right) / 2}" y="${y}" ${centred}>${words}</text>`;
    const side = (words, y) =>
      `<text class="side" transform="translate(10 ${y}) rotate(-90)" ${centred}>${words}</text>`;
    const rule = (y) => `<line class="axis" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/>`;
    const tick = ([value, words]) =>
      `<text class="tick" x="${plot.x(scale.to(value)).toFixed(1)}" y="${middle + 4}" ${centred}>` +
      `${words}</text>`;
    const times = short(Number((unit(1) / unit(0)).toPrecision(2)));
    get("scales").textContent = shared || !up || !down
      ? ""
      : `Below the axis, one part is drawn ${times} times as tall as above.`;
    svg.innerHTML =
      `<rect class="zone" y="${top - 4}" height="${bottom - top + 8}"/>` +
      countTicks(up, unit(0), over, -1) +
      countTicks(down, unit(1), under, 1) +
      bars(good, unit(0), over, -1, () => "good", () => "good") +
      bars(defective, unit(1), under, 1, colourClass, (layer) => data.colours[layer]) +
      (up ? "" : empty("no good parts in this test set", (top + middle) / 2)) +
      (down ? "" : empty("no defective parts in this test set", (bottom + middle) / 2)) +
      rule(over) +
      rule(under) +
      ticks().map(tick).join("") +
      side("good", (top + over) / 2) +
      side("defective", (bottom + under) / 2) +
      `<text class="side" x="${right}" y="${bottom + 20}" text-anchor="end">part score →</text>` +
      mark("oracle", data.oracle, bottom + 20, "oracle, fitted on this test set") +
      mark("calibrated", calibrated, top - 10, "calibrated") +
      '<g id="line" tabindex="0" role="slider" aria-label="Threshold on the part score"' +
      ' aria-orientation="horizontal">' +
      `<rect class="grip" x="-22" width="44" y="0" height="${bottom + 4}"/>` +
      `<line y1="20" y2="${bottom + 4}"/><rect class="pill" y="1" height="21" rx="10.5"/>` +
      `<text class="pill-text" y="16" text-anchor="middle"></text></g>` +
      `<text class="zone-label pass" y="16" text-anchor="end">passed</text>` +
      `<text class="zone-label reject" y="16">rejected</text>`;
    moveLine();
  }

  function mark(name, score, y, words) {
    if (score === null) return "";
    const x = plot.x(scale.to(score));
    const late = x > (plot.left + plot.right) / 2;
    return (
      `<g class="mark ${name}" transform="translate(${x.toFixed(1)} 0)">` +
      `<line y1="${plot.top - 8}" y2="${plot.bottom + (name === "oracle" ? 24 : 4)}"/>` +
      `<text x="${late ? -5 : 5}" y="${y}" text-anchor="${late ? "end" : "start"}">` +
      `${words}</text></g>`
    );
  }

  // ---- The line ----

  function moveLine() {
    const line = get("line");
    const x = Math.min(plot.right, Math.max(plot.left, plot.x(scale.to(threshold))));
    line.setAttribute("transform", `translate(${x.toFixed(2)} 0)`);
    const words = threshold === calibrated ? short(threshold) : String(threshold);
    const half = 10 + 3.6 * words.length;
    const shift = Math.max(half - x, Math.min(0, plot.width - half - x));
    const [pill, label] = [line.querySelector(".pill"), line.querySelector(".pill-text")];
    pill.setAttribute("x", shift - half);
    pill.setAttribute("width", 2 * half);
    label.setAttribute("x", shift);
    label.textContent = words;
    const zone = svg.querySelector(".zone");
    zone.setAttribute("x", x);
    zone.setAttribute("width", Math.max(0, plot.right - x));
    const [pass, reject] = [svg.querySelector(".pass"), svg.querySelector(".reject")];
    pass.setAttribute("x", x + shift - half - 8);
    reject.setAttribute("x", x + shift + half + 8);
    pass.style.visibility = x + shift - half > 70 ? "visible" : "hidden";
    reject.style.visibility = x + shift + half + 70 < plot.width ? "visible" : "hidden";
    svg.querySelector(".mark.calibrated").style.display = threshold === calibrated ? "none" : "";
    const spoken = showCounts();
    line.setAttribute("aria-valuemin", scale.from(plot.placeAt(plot.left)));
    line.setAttribute("aria-valuemax", scale.from(plot.placeAt(plot.right)));
    line.setAttribute("aria-valuenow", threshold);
    line.setAttribute("aria-valuetext", `${words}: ${spoken}`);
    get("threshold").textContent = words;
    get("threshold").title = String(threshold);
    get("status").textContent = status();
    get("to-calibrated").disabled = threshold === calibrated;
    get("to-oracle").disabled = threshold === data.oracle;
  }

  function status() {
    if (threshold === calibrated) {
      return data.provisional
        ? "Calibrated, but provisional: see the promise above."
        : "Calibrated: the promise above is for this threshold.";
    }
    if (threshold === data.oracle) return "Oracle, fitted on this test set: nothing is promised.";
    return "Moved by hand: nothing is promised here.";
  }

  // The threshold is rounded to what a pixel can tell, so that the figure shown is the one used.
  function moveTo(pixel) {
    const inside = Math.min(plot.right, Math.max(plot.left, pixel));
    const score = scale.from(plot.placeAt(inside));
    const grain = Math.abs(scale.from(plot.placeAt(inside + 1)) - score) || 1;
    const decimals = Math.max(0, Math.min(100, Math.ceil(-Math.log10(grain))));
    threshold = Number(score.toFixed(decimals));
    moveLine();
  }

  function setThreshold(score) {
    threshold = score;
    moveLine();
  }

  const pixelOf = (event) => {
    const box = svg.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * plot.width;
  };

  let dragging = null;
  svg.addEventListener("pointerdown", (event) => {
    const onLine = event.target.closest("#line") !== null;
    // A finger that starts elsewhere wants to scroll the page.
    if (event.button !== 0 || (event.pointerType === "touch" && !onLine)) return;
    dragging = onLine ? plot.x(scale.to(threshold)) - pixelOf(event) : 0;
    svg.setPointerCapture(event.pointerId);
    get("line").focus({ preventScroll: true });
    if (!onLine) moveTo(pixelOf(event));
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => {
    if (dragging !== null) moveTo(pixelOf(event) + dragging);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    svg.addEventListener(kind, () => {
      dragging = null;
    });
  }

  svg.addEventListener("keydown", (event) => {
    const fine = event.shiftKey ? 1 : 4;
    const pixels = {
      ArrowLeft: -fine, ArrowDown: -fine, PageDown: -40, Home: -1e6,
      ArrowRight: fine, ArrowUp: fine, PageUp: 40, End: 1e6,
    };
    if (!(event.key in pixels)) return;
    event.preventDefault();
    moveTo(plot.x(scale.to(threshold)) + pixels[event.key]);
  });

  get("to-calibrated").addEventListener("click", () => setThreshold(calibrated));
  get("to-oracle").addEventListener("click", () => setThreshold(data.oracle));
  get("to-oracle").hidden = data.oracle === null;
  get("axis").addEventListener("change", (event) => {
    scale = scales[event.target.value];
    draw();
  });

  // ---- The legend ----

  function colourKey(name, kind, count) {
    const item = document.createElement("li");
    item.innerHTML = `<i class="${kind}"></i>`;
    item.append(`${name} `);
    const number = document.createElement("b");
    number.textContent = many(count);
    item.append(number);
    get("colours").append(item);
  }

  if (scoresOf.good.length) colourKey("good", "good", scoresOf.good.length);
  data.colours.forEach((name, index) => {
    const count = data.defective.filter(([, colour]) => colour === index).length;
    if (count) colourKey(name, colourClass(index), count);
  });

  new ResizeObserver(() => {
    if (plot === null || Math.round(svg.getBoundingClientRect().width) !== plot.width) draw();
  }).observe(svg.parentElement);
  draw();
})();
