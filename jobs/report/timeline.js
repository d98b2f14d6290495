/* The timeline: a lane for each rank, and each launch with a clock of its own beside the one before. */

const MOST_MARKS = 20000; /* more are drawn one a pixel */
const MOST_LANES = 512;

const view = {
  launch: -1,
  from: 0,
  to: 1
}; /* -1: all; from, to: parts of that launch's time */

function rankHeight(ranks) {
  return ranks <= 4 ? 40 : ranks <= 8 ? 30 : ranks <= 16 ? 22 : ranks <= 64 ? 12 : 5;
}

/* Where launches are on the page. Each has a share of the width as it has of the time, but never so little
 * that nothing is seen. */
function placeLaunches(run, left, width) {
  const some = run.launches.filter(l => l.lanes.length && (view.launch < 0 || l.index === view.launch));
  const gap = 26, room = width - left - 8 - gap * (some.length - 1);
  const total = some.reduce((sum, l) => sum + (l.ended - l.began), 0) || 1;
  const least = Math.min(0.25, 0.8 / some.length);
  const share = some.map(l => Math.max(least, (l.ended - l.began) / total));
  const sum = share.reduce((a, b) => a + b, 0);
  let at = left;
  return some.map((l, i) => {
    const all = Math.max(1e-6, l.ended - l.began), whole = view.launch < 0;
    const place = {
      launch: l,
      x: at,
      width: room * share[i] / sum,
      from: l.began + (whole ? 0 : view.from * all),
      to: l.began + (whole ? 1 : view.to) * all
    };
    place.at = time => place.x + place.width * (Math.min(place.to, Math.max(place.from, time)) - place.from) /
                                     (place.to - place.from);
    at += place.width + gap;
    return place;
  });
}

/* Boxes from left to right; where there are too many, one a pixel and kind. */
function thinner(limit) {
  let last = null;
  return function(shape, x0, x1) {
    if (limit && last && last.cls === shape.cls && x1 < last.x1 + 1) {
      last.about.merged = true;
      return null;
    }
    last = {cls: shape.cls, x1: Math.max(x1, x0 + 1), about: shape.about};
    return last;
  };
}

function inView(place, about) { return about.to >= place.from && about.from <= place.to; }

function taskClass(t) {
  if (t.how === 'crashed' || t.how === 'failed') return 'crashed';
  if (t.how === 'abandoned') return 'abandoned';
  if (t.attempt > 1) return 'rerun';
  return t.found ? 'found' : 'read';
}

function slotOf(task) { return Number.isInteger(task.slot) ? Math.max(0, Math.min(4095, task.slot)) : 0; }

function drawTasks(s, place, lane, y, high, limit) {
  const slots = 1 + lane.tasks.reduce((most, t) => Math.max(most, slotOf(t)), 0), each = high / slots;
  const keep = Array.from({length: slots}, () => thinner(limit));
  for (const t of lane.tasks) {
    if (!inView(place, t)) continue;
    const cls = taskClass(t), x0 = place.at(t.from), x1 = place.at(t.to), slot = slotOf(t);
    const loud = cls === 'crashed' || cls === 'rerun';
    if (!loud && !keep[slot]({cls, about: t}, x0, x1)) continue;
    const w = Math.max(loud ? 3 : 0.8, x1 - x0 - (x1 - x0 > 3 ? 0.8 : 0));
    markShape(s, 'rect', {
      x: x0.toFixed(2),
      y: (y + slot * each + (each > 4 ? 0.5 : 0)).toFixed(2),
      width: w.toFixed(2),
      height: Math.max(0.8, each - (each > 4 ? 1 : 0)).toFixed(2),
      class: 'task ' + cls + (t.how === 'cut' ? ' cutspan' : '')
    },
              t);
  }
}

/* Phases, but where tasks are: those tell it themselves, and a rank without any was idle. */
function drawSpans(s, place, lane, y, high, limit) {
  const keep = thinner(limit);
  for (const span of lane.spans) {
    if (!inView(place, span)) continue;
    const x0 = place.at(span.from), x1 = place.at(span.to), reads = span.kind === 'read';
    const cls = reads && place.launch.lanes.some(l => l.tasks.length) ? 'other' : span.kind;
    if ((reads && lane.tasks.length) || !keep({cls, about: span}, x0, x1)) continue;
    markShape(s, 'rect', {
      x: x0.toFixed(2),
      y,
      width: Math.max(0.6, x1 - x0).toFixed(2),
      height: high,
      class: 'span ' + cls + (span.whole ? '' : ' cutspan')
    },
              span);
  }
}

function cross(s, x, y, size, about) {
  const g = markShape(s, 'g', {class: 'died'}, about);
  svg(g, 'rect', {x: x - size, y: y - size, width: 2 * size, height: 2 * size, 'fill-opacity': 0});
  svg(g, 'path', {
    d: `M${x - size} ${y - size}L${x + size} ${y + size}M${x + size} ${y - size}L${x - size} ${y + size}`,
    class: 'cross'
  });
}

function fitted(text, width) {
  const letters = Math.floor(width / 6.1);
  text = String(text);
  return text.length <= letters ? text : letters < 4 ? '' : text.slice(0, letters - 1) + '\u2026';
}

/* A frame around the gang, try by try: all ranks in one. */
function drawTries(s, place, top, bottom) {
  for (const t of place.launch.tries) {
    if (t.to < place.from || t.from > place.to) continue;
    const x0 = place.at(t.from), x1 = place.at(t.to), again = t.number > 1 || place.launch.index > 0;
    const text = 'gang' + (t.good ? (again ? ', run again' : '') : ': aborted');
    svg(s, 'rect', {
      x: x0 - 1,
      y: top - 2,
      width: Math.max(3, x1 - x0 + 2),
      height: bottom - top + 4,
      class: 'gang' + (t.good ? '' : ' aborted')
    });
    svg(s, 'text', {x: x0, y: top - 6, class: t.good ? '' : 'bad'}, fitted(text, x1 - x0 + 14));
  }
}

function drawAxis(s, place, y) {
  svg(s, 'line', {x1: place.x, x2: place.x + place.width, y1: y, y2: y, class: 'edge'});
  const zero = place.launch.began;
  for (const v of steps(place.from - zero, place.to - zero, Math.max(2, Math.floor(place.width / 70)))) {
    const x = place.at(zero + v);
    svg(s, 'line', {x1: x, x2: x, y1: y, y2: y + 4, class: 'edge'});
    if (x < place.x + place.width - 12)
      svg(s, 'text', {x, y: y + 16, 'text-anchor': x < place.x + 15 ? 'start' : 'middle', class: 'soft'},
          v === 0 ? '0' : seconds(v));
  }
}

function drawLaunch(s, run, place, top, high, limit) {
  const launch = place.launch, lanes = launch.lanes.filter(l => l.rank < MOST_LANES),
        bottom = top + high * Math.min(run.ranks, MOST_LANES);
  const good = launch.verdict === 'done' || launch.verdict === 'stopped';
  svg(s, 'text', {x: place.x, y: 12, class: good ? 'good' : 'bad', 'font-weight': 600},
      fitted((run.launches.length > 1 ? 'attempt ' + launch.name + ': ' : '') +
                 (launch.verdict === 'again' ? 'failed, run again' : launch.verdict),
             place.width));
  for (const lane of lanes) {
    const y = top + high * lane.rank, inner = high - (high > 8 ? 4 : 1);
    svg(s, 'rect',
        {x: place.x, y: y + (high > 8 ? 2 : 0.5), width: place.width, height: inner, class: 'lane'});
    drawSpans(s, place, lane, y + (high > 8 ? 2 : 0.5), inner, limit);
    drawTasks(s, place, lane, y + (high > 8 ? 2 : 0.5), inner, limit);
    if (!lane.end && lane.last >= place.from && lane.last <= place.to) {
      const died = launch.culprit < 0 || launch.culprit === lane.rank;
      if (died)
        cross(s, Math.max(place.x + 6, place.at(lane.last)), y + high / 2, Math.min(7, high / 2 - 1),
              'rank ' + lane.rank + ' ended here\n' + (launch.cause || launch.verdict));
    }
  }
  drawTries(s, place, top, bottom);
  drawAxis(s, place, bottom + 6);
}

function drawGaps(s, places, middle) {
  for (let i = 1; i < places.length; i++) {
    const x = places[i].x - 13, pause = places[i].launch.began - places[i - 1].launch.ended;
    const t =
        svg(s, 'text',
            {x, y: middle, 'text-anchor': 'middle', class: 'soft', transform: `rotate(-90 ${x} ${middle})`},
            '\u2016 ' + seconds(Math.max(0, pause)));
    t.setAttribute('dy', '4');
  }
}

function drawTimeline(run, box) {
  box.textContent = '';
  const width = widthOf(box), ranks = Math.min(run.ranks, MOST_LANES), high = rankHeight(ranks),
        left = ranks > 64 ? 40 : 52, top = 36;
  const s = picture(box, width, top + high * ranks + 30, 'Timeline: a lane for each rank');
  const places = placeLaunches(run, left, width);
  const many =
      run.tasks.length +
          run.launches.reduce((n, l) => n + l.lanes.reduce((m, lane) => m + lane.spans.length, 0), 0) >
      2 * MOST_MARKS;
  for (let r = 0; r < ranks; r += high >= 11 ? 1 : 16)
    svg(s, 'text', {x: left - 6, y: top + high * r + high / 2 + 4, 'text-anchor': 'end', class: 'soft'},
        high >= 20 ? 'rank ' + r : String(r));
  for (const place of places) drawLaunch(s, run, place, top, high, many);
  drawGaps(s, places, top + high * ranks / 2);
  dragToZoom(run, box, s, places, width);
}

/* ---- Looking closer ---- */

function show(run, launch, from, to) {
  const span = Math.max(1e-4, Math.min(1, to - from));
  view.launch = launch;
  view.from = Math.max(0, Math.min(1 - span, from));
  view.to = view.from + span;
  redraw(run);
}

function dragToZoom(run, box, s, places, width) {
  let from = null, band = null;
  const xOf = event => {
    const r = s.getBoundingClientRect();
    return (event.clientX - r.left) * width / r.width;
  };
  s.addEventListener('pointerdown', event => {
    if (event.pointerType === 'mouse' && event.button === 0) from = xOf(event);
  });
  s.addEventListener('pointermove', event => {
    if (from === null) return;
    if (!band) band = svg(s, 'rect', {y: 0, height: '100%', class: 'gang'});
    band.setAttribute('x', Math.min(from, xOf(event)));
    band.setAttribute('width', Math.abs(xOf(event) - from));
  });
  s.addEventListener('pointerleave', () => {
    from = null;
    if (band) band.remove();
    band = null;
  });
  s.addEventListener('pointerup', event => {
    if (from === null) return;
    const a = Math.min(from, xOf(event)), b = Math.max(from, xOf(event));
    from = null;
    if (band) band.remove();
    band = null;
    const place = places.find(p => a < p.x + p.width && b > p.x);
    if (!place || b - a < 8) return;
    const l = place.launch, all = Math.max(1e-6, l.ended - l.began);
    const time = x =>
        (place.from + (place.to - place.from) * Math.max(0, Math.min(1, (x - place.x) / place.width)) -
         l.began) /
        all;
    show(run, l.index, time(a), time(b));
  });
}

function zoomBy(run, factor) {
  if (view.launch < 0)
    view.launch = run.last.lanes.length ? run.last.index : run.launches.find(l => l.lanes.length).index;
  const middle = (view.from + view.to) / 2, half = factor * (view.to - view.from) / 2;
  show(run, view.launch, middle - half, middle + half);
}
function moveBy(run, part) {
  const step = part * (view.to - view.from);
  show(run, view.launch, view.from + step, view.to + step);
}

function timelineButtons(run, parent) {
  const box = html(parent, 'p', {class: 'buttons'}), some = run.launches.filter(l => l.lanes.length),
        choice = [];
  function button(text, title, act) {
    const b = html(box, 'button', {type: 'button', title, 'aria-label': title}, text);
    b.addEventListener('click', act);
    return b;
  }
  choice.push([-1, button('all', 'Everything', () => show(run, -1, 0, 1))]);
  for (const l of some.length > 1 ? some.slice(0, 12) : [])
    choice.push(
        [l.index, button('attempt ' + l.name, 'Attempt ' + l.name, () => show(run, l.index, 0, 1))]);
  button('+', 'Closer', () => zoomBy(run, 0.5));
  button('\u2212', 'Less close', () => zoomBy(run, 2));
  button('\u2190', 'Earlier', () => moveBy(run, -0.5));
  button('\u2192', 'Later', () => moveBy(run, 0.5));
  return () => {
    for (const [index, b] of choice) b.setAttribute('aria-pressed', String(index === view.launch));
  };
}

let redraw = () => {};
function timelineSection(run) {
  const parent = section('timeline');
  html(
      parent, 'p', {class: 'soft'},
      'Each task is a box of its own, and one that crashes is run again alone.' +
          (run.launches.some(l => l.tries.length) ?
               ' The gang is a frame around all ranks, and where one of them fails all begin again.' :
               ''));
  if (!run.launches.some(l => l.lanes.length)) {
    html(parent, 'p', {}, 'No rank has written a log.');
    return;
  }
  const press = timelineButtons(run, parent), box = html(parent, 'div');
  const kinds = new Set(), classes = new Set(run.tasks.map(taskClass));
  for (const l of run.launches)
    for (const lane of l.lanes)
      for (const span of lane.spans) kinds.add(span.kind);
  const names = [
    ['read', 'task'], ['found', 'task that reads a kept block'], ['crashed', 'task that crashed'],
    ['rerun', 'its rerun'], ['abandoned', 'task given up'], ['handoff', 'hand-off'],
    ['items', 'half-step of items'], ['users', 'half-step of users'], ['checkpoint', 'checkpoint'],
    ['write', 'writing'], ['cross', 'a rank died']
  ];
  const died = run.launches.some(l => l.lanes.some(lane => !lane.end));
  legend(parent,
         names.filter(([k]) => k === 'cross' ? died : kinds.has(k) && k !== 'read' || classes.has(k)));
  if (run.ranks > MOST_LANES)
    html(parent, 'p', {class: 'soft'}, 'Ranks from ' + MOST_LANES + ' on are in the tables alone.');
  html(parent, 'p', {class: 'soft'},
       'Point at or tap a box for more; drag with a mouse to look closer.' +
           (run.launches.length > 1
                ? ' Each attempt has a clock and a scale of its own; \u2016 is the time between.'
                : ''));
  redraw = () => {
    press();
    drawTimeline(run, box);
  };
  redraw();
  let width = innerWidth, timer = 0;
  addEventListener('resize', () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (innerWidth !== width) {
        width = innerWidth;
        redraw();
      }
    }, 150);
  });
}
