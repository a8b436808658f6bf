// Rates: their exact intervals, how they read, and a table row that shows one.
"use strict";
const blemish = (() => {
  // ---- Exact intervals (the same sums as in metrics/bounds.py) ----

  function logGamma(x) {
    let shift = 0;
    for (; x < 12; x += 1) shift -= Math.log(x);
    const y = 1 / (x * x);
    const series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y / 1680))) / x;
    return shift + (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
  }

  function lowerTail(k, n, p) {
    const logChoose = logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
    const largest = Math.exp(logChoose + k * Math.log(p) + (n - k) * Math.log1p(-p));
    let term = 1;
    let total = 1;
    for (let j = k; j > 0 && term > 1e-17 * total; j -= 1) {
      term *= (j * (1 - p)) / ((n - j + 1) * p);
      total += term;
    }
    return Math.min(1, largest * total);
  }

  function binomialCdf(k, n, p) {
    if (p <= 0) return 1;
    if (p >= 1) return 0;
    return k <= n * p ? lowerTail(k, n, p) : 1 - lowerTail(n - k - 1, n, 1 - p);
  }

  function upperLimit(k, n, tail) {
    if (k >= n) return 1;
    if (k === 0) return -Math.expm1(Math.log(tail) / n);
    let [low, high] = [0, 1];
    for (let step = 0; step < 60; step += 1) {
      const middle = (low + high) / 2;
      if (binomialCdf(k, n, middle) > tail) low = middle;
      else high = middle;
    }
    return high;
  }

  const clopperPearson = (k, n) => [1 - upperLimit(n - k, n, 0.025), upperLimit(k, n, 0.025)];

  // ---- Numbers as people read them (the same rules as in words.py) ----

  function percentage(share) {
    const value = 100 * share;
    const rest = Math.min(value, 100 - value);
    if (rest <= 0) return value.toFixed(0);
    const decimals = rest >= 10 ? 0 : Math.min(20, Math.max(1, Math.ceil(-Math.log10(rest))));
    return decimals ? value.toFixed(decimals).replace(/\.?0+$/, "") : value.toFixed(0);
  }

  const many = (n) => n.toLocaleString("en");

  // ---- A row with a bar for k of n; the function that is returned sets k and n ----

  function newRate(body, name) {
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    const track = row.insertCell();
    track.className = "track";
    track.innerHTML = "<span><i class=value></i><i class=interval></i></span>";
    const [value, of, interval] = ["n", "n of", "n small"].map((kind) => {
      const cell = row.insertCell();
      cell.className = kind;
      return cell;
    });
    const [bar, whisker] = track.firstChild.children;
    return (k, n) => {
      row.classList.toggle("unknown", n === 0);
      if (n === 0) {
        value.textContent = "–";
        of.textContent = interval.textContent = "";
        return;
      }
      const [low, high] = clopperPearson(k, n);
      bar.style.width = `${(100 * k) / n}%`;
      whisker.style.left = `${100 * low}%`;
      whisker.style.width = `${100 * (high - low)}%`;
      value.textContent = `${percentage(k / n)} %`;
      of.textContent = `${many(k)} of ${many(n)}`;
      interval.textContent = `${percentage(low)} to ${percentage(high)} %`;
    };
  }

  return { clopperPearson, percentage, many, newRate };
})();
