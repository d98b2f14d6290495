/* What all pictures need. Elements are built one by one and text is only ever set as text, so nothing from
 * the log can become markup. */

const SVG = 'http://www.w3.org/2000/svg';
const marks = []; /* what has a data-i: its details are told where it is pointed at */

function put(parent, element, attributes, text) {
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}
function html(parent, tag, attributes, text) {
  return put(parent, document.createElement(tag), attributes, text);
}
function svg(parent, tag, attributes, text) {
  return put(parent, document.createElementNS(SVG, tag), attributes, text);
}
function section(id) { return document.getElementById(id); }

/* A shape that tells something: `about` is an object whose words tellOf() knows, or a text. */
function markShape(parent, tag, attributes, about) {
  attributes['data-i'] = marks.push(about) - 1;
  return svg(parent, tag, attributes);
}
function picture(parent, width, height, label) {
  return svg(parent, 'svg',
             {viewBox: '0 0 ' + width + ' ' + height, width, height, role: 'img', 'aria-label': label});
}
function widthOf(parent) { return Math.max(280, Math.min(1500, (parent.clientWidth || 700) - 2)); }

/* ---- Amounts ---- */

function fixed(value, digits) {
  if (typeof value !== 'number') return '';
  return Number(value.toPrecision(digits)).toLocaleString('en', {maximumFractionDigits: 9});
}
function count(n) { return typeof n === 'number' ? Math.round(n).toLocaleString('en') : ''; }
function seconds(s) {
  if (!isFinite(s)) return '';
  if (s === 0) return '0 s';
  if (s < 0.001) return fixed(1e6 * s, 3) + ' \u00b5s';
  if (s < 1) return fixed(1000 * s, 3) + ' ms';
  if (s < 120) return fixed(s, 3) + ' s';
  const whole = Math.round(s), minutes = Math.floor(whole / 60);
  if (minutes < 120) return minutes + ' min ' + whole % 60 + ' s';
  return Math.floor(minutes / 60) + ' h ' + minutes % 60 + ' min';
}
function bytes(n) {
  if (typeof n !== 'number') return '';
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return fixed(n, unit ? 3 : 15) + ' ' + units[unit];
}
function moment(time) {
  const d = new Date(1000 * time), two = n => String(n).padStart(2, '0');
  return d.getFullYear() + '-' + two(d.getMonth() + 1) + '-' + two(d.getDate()) + ' ' + two(d.getHours()) +
         ':' + two(d.getMinutes()) + ':' + two(d.getSeconds());
}

/* Round steps of an axis from 0 or `low` to high, at most n of them. */
function steps(low, high, n) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / n, power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = power * [1, 2, 5, 10].find(f => power * f >= raw * 0.999);
  const list = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * span; i++) list.push(i * step);
  return list;
}

/* ---- Tables ---- */

/* columns: [{name, of: row -> text, text: bool, long: bool, bad: row -> bool}] */
function table(parent, columns, rows, cls) {
  const t = html(html(parent, 'div', {class: 'scroll'}), 'table', cls ? {class: cls} : {});
  const head = html(html(t, 'thead'), 'tr'), body = html(t, 'tbody');
  for (const c of columns) html(head, 'th', c.text ? {class: 'text'} : {}, c.name);
  for (const row of rows) {
    const tr = html(body, 'tr');
    for (const c of columns)
      html(tr, 'td', {class: [c.text && 'text', c.long && 'long', c.bad && c.bad(row) && 'bad'].filter(x => x).join(' ')},
           String(c.of(row)));
  }
  return t;
}

/* Long ones are folded. */
function foldedTable(parent, title, columns, rows) {
  const box = html(parent, 'details', rows.length <= 12 ? {open: ''} : {});
  html(box, 'summary', {}, title);
  table(box, columns, rows);
}

function legend(parent, entries) {
  const box = html(parent, 'p', {class: 'legend'});
  for (const [cls, text] of entries) {
    const one = html(box, 'span'),
          s = svg(one, 'svg', {viewBox: '0 0 14 12', width: 14, height: 12, 'aria-hidden': 'true'});
    if (cls === 'cross')
      svg(s, 'path', {d: 'M2 1L12 11M12 1L2 11', class: 'cross'});
    else
      svg(s, 'rect', {x: 0.5, y: 0.5, width: 13, height: 11, class: cls});
    html(one, 'span', {}, text);
  }
}

/* ---- Bars: one a rank, of parts ---- */

/* rows: [{label, parts: [[class, amount, name]]}] */
function bars(parent, rows, amount, label) {
  const width = widthOf(parent), left = 52, right = 64,
        high = rows.length <= 16   ? 20
               : rows.length <= 64 ? 11
                                   : 5;
  const room = width - left - right,
        longest = Math.max(1e-12, ...rows.map(r => r.parts.reduce((s, p) => s + p[1], 0)));
  const shown = rows.slice(0, 512), s = picture(parent, width, shown.length * high + 4, label);
  shown.forEach((row, i) => {
    let at = left, sum = 0;
    if (high > 5)
      svg(s, 'text', {x: left - 6, y: i * high + high * 0.72, 'text-anchor': 'end', class: 'soft'},
          row.label);
    for (const [cls, value, name] of row.parts) {
      const w = room * value / longest;
      if (w > 0.05)
        markShape(s, 'rect', {x: at, y: i * high + 1, width: w, height: high - 2, class: cls},
                  row.label + '\n' + name + ': ' + amount(value));
      at += w;
      sum += value;
    }
    if (high > 5) svg(s, 'text', {x: at + 5, y: i * high + high * 0.72, class: 'soft'}, amount(sum));
  });
  if (shown.length < rows.length)
    html(parent, 'p', {class: 'soft'},
         'The other ' + count(rows.length - shown.length) + ' ranks are in the table.');
}

/* ---- Curves over iterations ---- */

/* curves: [{name, points: [[x, y, details]]}] */
function chart(box, title, curves, log) {
  const width = widthOf(box), height = 230, left = 62, right = 12, top = 22,
        bottom = 30;
  const all = [].concat(...curves.map(c => c.points)), scale = log ? Math.log10 : v => v;
  const xs = all.map(p => p[0]), ys = all.map(p => scale(p[1]));
  const x0 = Math.min(...xs), x1 = Math.max(...xs, x0 + 1), low = Math.min(...ys), high = Math.max(...ys),
        pad = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  const x = v => left + (width - left - right) * (v - x0) / (x1 - x0);
  const y = v => height - bottom - (height - top - bottom) * (scale(v) - low + pad) / (high - low + 2 * pad);
  const s = picture(box, width, height, title);
  svg(s, 'text', {x: left, y: 12}, title + (log ? ' (logarithmic)' : ''));
  const powers = [];
  if (log)
    for (let p = Math.floor(low - pad); p <= high + pad; p++)
      for (const f of [1, 2, 5]) powers.push(f * Math.pow(10, p));
  for (const v of log ? powers : steps(low - pad, high + pad, 5)) {
    if (y(v) > height - bottom || y(v) < top) continue;
    svg(s, 'line', {x1: left, x2: width - right, y1: y(v), y2: y(v), class: 'rule'});
    svg(s, 'text', {x: left - 5, y: y(v) + 4, 'text-anchor': 'end', class: 'soft'}, fixed(v, 4));
  }
  for (const v of steps(x0, x1, Math.max(2, Math.floor(width / 70)))) {
    if (v !== Math.round(v)) continue;
    svg(s, 'text', {x: x(v), y: height - bottom + 15, 'text-anchor': 'middle', class: 'soft'}, String(v));
  }
  svg(s, 'text', {x: width - right, y: height - 2, 'text-anchor': 'end', class: 'soft'}, 'iteration');
  curves.forEach((c, i) => {
    if (!c.points.length) return;
    svg(s, 'path', {
      class: 'curve c' + i,
      d: c.points.map((p, j) => (j ? 'L' : 'M') + x(p[0]).toFixed(1) + ' ' + y(p[1]).toFixed(1)).join('')
    });
    for (const p of c.points)
      markShape(s, 'circle',
                {cx: x(p[0]), cy: y(p[1]), r: c.points.length > 60 ? 2.5 : 4, class: 'dot c' + i}, p[2]);
  });
  if (curves.length > 1) legend(box, curves.map((c, i) => ['dot c' + i, c.name]));
}

/* ---- Details of what is pointed at ---- */

function tellTask(t) {
  const lines =
      ['partition ' + t.partition + ' of ' + t.rdd, t.what + ', rank ' + t.lane.rank + ', slot ' + t.slot];
  const how = {
    done: 'done',
    crashed: 'CRASHED',
    failed: 'failed: the data are wrong',
    abandoned: 'given up',
    cut: 'ended with its rank'
  };
  lines.push((t.attempt > 1 ? 'run again, attempt ' + t.attempt + ': ' : 'attempt 1: ') + how[t.how] +
             (t.speculative ? ' (a second copy)' : ''));
  lines.push(seconds(t.to - t.from) + (t.rows ? ', ' + count(t.rows) + ' rows' : '') +
             (t.bytes ? ', ' + bytes(t.bytes) : ''));
  if (t.found) lines.push('read from its block on disk, not parsed again');
  if (t.message) lines.push(t.message);
  return lines.join('\n');
}
function tellSpan(s) {
  const lines = [
    s.label, 'rank ' + s.lane.rank + (s.lane.start.host ? ' on ' + s.lane.start.host : ''),
    seconds(s.to - s.from)
  ];
  if (!s.whole) lines.push('not finished');
  if (s.merged) lines.push('and others that are closer than a pixel');
  return lines.join('\n');
}
function tellOf(about) {
  if (typeof about === 'string') return about;
  if (about.mark === 'task')
    return tellTask(about) + (about.merged ? '\nand others that are closer than a pixel' : '');
  if (about.mark === 'span') return tellSpan(about);
  return [
    'rank ' + about.lane.rank + ': ' + about.event, about.spec || '', about.message || '',
    about.iteration ? 'iteration ' + about.iteration : ''
  ].filter(line => line)
      .join('\n');
}

function startTips() {
  const tip = section('tip');
  function show(event) {
    const on = event.target.closest && event.target.closest('[data-i]');
    tip.hidden = !on;
    if (!on) return;
    tip.textContent = tellOf(marks[on.getAttribute('data-i')]);
    const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6), y = event.clientY + 16;
    tip.style.left = Math.max(4, x) + 'px';
    tip.style.top =
        (y + tip.offsetHeight > innerHeight ? Math.max(4, event.clientY - tip.offsetHeight - 12) : y) + 'px';
  }
  for (const name of ['pointermove', 'click']) document.addEventListener(name, show);
  document.addEventListener('keydown', event => {
    if (event.key === 'Escape') tip.hidden = true;
  });
  document.addEventListener('scroll', () => { tip.hidden = true; }, {passive: true});
}
