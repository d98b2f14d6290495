/* What the log says: events to launches, lanes, tasks. Nothing in here knows of a document.
 *
 * A launch is one start of the program: gangrun counts them as attempts, and who runs a command twice by
 * hand in one work directory has two as well. It has a lane for each rank, whose spans are phases. */

const PHASES = {
  'reading': 'read',
  'hand-off': 'handoff',
  'checkpoint': 'checkpoint',
  'writing': 'write'
};
const COSTS =
    ['read', 'handoff', 'gram', 'solve', 'test', 'exchange', 'checkpoint', 'write', 'waiting', 'other'];
const COUNTERS = ['sent', 'between_nodes', 'messages', 'moving', 'waiting'];

function kindOf(event) {
  if (event.phase === 'iteration') return event.side === 'users' ? 'users' : 'items';
  return PHASES[event.phase] || 'read';
}
function isHalfStep(kind) { return kind === 'items' || kind === 'users'; }
function labelOf(event) {
  if (!event.iteration) return event.phase;
  if (event.phase === 'iteration')
    return 'iteration ' + event.iteration + (event.side ? ', ' + event.side : '');
  return event.phase + ' of iteration ' + event.iteration;
}

/* ---- One lane ---- */

function newLane(rank, file) {
  return {
    rank,
    file,
    began: NaN,
    last: NaN,
    start: {},
    end: null,
    events: [],
    tasks: [],
    spans: [],
    marks: [],
    spent: [],
    memory: [],
    handOffs: [],
    peak: 0,
    counters: {},
    moved: {},
    costs: {}
  };
}

/* Time and bytes from one word of the counters to the next belong to the phase in between. Waiting is told
 * apart everywhere; data on the move only in iterations, since in the other phases they are the work. */
function account(lane, state, event) {
  const seconds = event.time - state.since, delta = {};
  for (const name of COUNTERS) {
    const value = typeof event[name] === 'number' ? event[name] : state.counters[name];
    delta[name] = Math.max(0, value - state.counters[name]);
    state.counters[name] = value;
  }
  const half = isHalfStep(state.kind), waiting = Math.min(delta.waiting, seconds);
  const exchange = half ? Math.min(delta.moving, seconds - waiting) : 0;
  lane.costs.waiting += waiting;
  lane.costs.exchange += exchange;
  lane.costs[half ? 'other' : state.kind] += Math.max(0, seconds - waiting - exchange);
  const place = half ? 'iterations' : state.kind === 'handoff' ? 'hand-off' : 'other';
  lane.moved[place] = (lane.moved[place] || 0) + delta.sent;
  state.since = event.time;
}

/* What an iteration tells of itself was in "other" until now. */
function takeSpent(lane, event) {
  for (const name of ['gram', 'solve', 'test']) {
    const seconds = Math.min(event[name] || 0, Math.max(0, lane.costs.other));
    lane.costs[name] += seconds;
    lane.costs.other -= seconds;
  }
  lane.spent.push(event);
}

function endSpan(state, time, whole) {
  if (!state.span) return;
  state.span.to = time;
  state.span.whole = whole;
  state.span = null;
}
function beginSpan(lane, state, kind, event, label) {
  endSpan(state, event.time, true);
  state.kind = kind;
  state.span = {
    mark: 'span',
    kind,
    label,
    iteration: event.iteration || 0,
    from: event.time,
    to: event.time,
    whole: false,
    lane
  };
  lane.spans.push(state.span);
}

function endTask(lane, state, event) {
  const how = event.event.slice(5), open = state.tasks.get(event.slot);
  const task = open || {mark: 'task', lane, from: event.time - (event.seconds || 0)};
  Object.assign(task, event, {to: event.time, how: how === 'finished' ? 'done' : how});
  if (!open) lane.tasks.push(task);
  state.tasks.delete(event.slot);
}
function beginTask(lane, state, event) {
  const task = Object.assign({mark: 'task', lane}, event, {from: event.time, to: event.time, how: 'cut'});
  lane.tasks.push(task);
  state.tasks.set(event.slot, task);
}

function readEvent(lane, state, event) {
  switch (event.event) {
  case 'phase':
    account(lane, state, event);
    beginSpan(lane, state, kindOf(event), event, labelOf(event));
    if (event.phase === 'hand-off') lane.handOffs.push(event.time);
    break;
  case 'stage-started': /* a phase of its own where the command has none, or a block was lost on the way */
    if (state.kind !== 'read') {
      account(lane, state, event);
      beginSpan(lane, state, 'read', event, event.what);
    }
    break;
  case 'spent':
    account(lane, state, event);
    takeSpent(lane, event);
    endSpan(state, event.time, true);
    state.kind = 'other';
    break;
  case 'job-ended':
    account(lane, state, event);
    endSpan(state, event.time, true);
    lane.end = event;
    break;
  case 'task-started':
    beginTask(lane, state, event);
    break;
  case 'task-finished':
  case 'task-crashed':
  case 'task-failed':
  case 'task-abandoned':
    endTask(lane, state, event);
    break;
  case 'memory':
    lane.memory.push(event);
    break;
  case 'fault':
  case 'gang-rerun':
  case 'block-lost':
  case 'resumed':
  case 'checkpoint-written':
  case 'checkpoint-failed':
  case 'checkpoint-passed-over':
    lane.marks.push(Object.assign({mark: 'event', lane}, event));
    break;
  }
  if (typeof event.peak === 'number') lane.peak = Math.max(lane.peak, event.peak);
}

function readLane(rank, file, events) {
  const lane = newLane(rank, file), first = events[0];
  const state = {kind: 'other', since: first.time, span: null, counters: {}, tasks: new Map()};
  for (const name of COUNTERS) state.counters[name] = 0;
  for (const name of COSTS) lane.costs[name] = 0;
  lane.start = first.event === 'job-started' ? first : {};
  lane.began = first.time;
  lane.events = events;
  for (const event of events) {
    readEvent(lane, state, event);
    lane.last = event.time;
  }
  if (!lane.end) account(lane, state, {time: lane.last});
  endSpan(state, lane.last, false);
  for (const task of state.tasks.values()) task.to = lane.last;
  lane.counters = state.counters;
  lane.seconds = lane.last - lane.began;
  return lane;
}

/* ---- Launches ---- */

/* A file has a piece for each time that the program began. */
function piecesOf(file) {
  const pieces = [];
  for (const event of file.events) {
    if (typeof event.time !== 'number') continue;
    if (event.event === 'job-started' || !pieces.length) pieces.push([]);
    pieces[pieces.length - 1].push(event);
  }
  return pieces;
}

function newLaunch(attempt, began) {
  return {
    attempt,
    began,
    ended: began,
    lanes: [],
    ranks: 0,
    missing: [],
    supervised: null,
    verdict: '',
    cause: '',
    next: '',
    culprit: -1,
    tries: [],
    resumed: 0,
    found: new Map()
  };
}

/* Lanes of one launch began at the same moment, clocks permitting: each piece joins the nearest. */
function joinLanes(data) {
  const launches = [];
  for (const file of data.files.filter(f => f.rank >= 0)) {
    for (const piece of piecesOf(file)) {
      const same = launches.filter(l => l.attempt === file.attempt);
      const near = same.filter(l => !l.lanes.some(lane => lane.rank === file.rank));
      near.sort((a, b) => Math.abs(a.began - piece[0].time) - Math.abs(b.began - piece[0].time));
      const anchor = !same.length || same[0].lanes[0].rank === file.rank || !near.length;
      const launch = anchor ? newLaunch(file.attempt, piece[0].time) : near[0];
      if (anchor) launches.push(launch);
      launch.lanes.push(readLane(file.rank, file, piece));
    }
  }
  return launches;
}

function joinSupervisor(data, launches) {
  let current = null;
  for (const file of data.files.filter(f => f.rank < 0))
    for (const event of file.events) {
      if (event.event === 'launch') {
        current = launches.find(l => l.attempt === event.attempt && !l.supervised);
        if (!current) launches.push(current = newLaunch(event.attempt, event.time));
        current.supervised = event;
      } else if (event.event === 'launch-ended' && current) {
        Object.assign(
            current, {verdict: event.verdict, cause: event.cause, next: event.next, launchEnded: event.time});
        if (typeof event.rank === 'number') current.culprit = event.rank;
      }
    }
}

/* How it ended, where no supervisor says so. */
function judge(launch, record) {
  const ends = launch.lanes.filter(l => l.end), bad = ends.find(l => l.end.exit_code !== 0);
  launch.exit = ends.length ? ends[0].end.exit_code : -1;
  if (bad) launch.exit = bad.end.exit_code;
  if (launch.culprit < 0) {
    const struck =
        launch.lanes.find(l => !l.end && l.marks.length && l.marks[l.marks.length - 1].event === 'fault');
    if (struck) launch.culprit = struck.rank;
  }
  if (launch.verdict) return;
  const whole = ends.length === launch.lanes.length;
  if (!whole && record && record.state === 'running' && record.attempt === launch.attempt)
    launch.verdict = 'no end';
  else if (!whole)
    launch.verdict = 'died';
  else
    launch.verdict = launch.exit === 0 ? 'done' : launch.exit === 75 ? 'stopped' : 'failed';
  if (bad) launch.cause = bad.end.message || '';
  if (launch.verdict === 'no end') launch.cause = 'the log has no end: it is at work, or died';
}

/* The gang of a launch, try by try: from the first rank's hand-off to the next rerun, or the end. */
function findTries(launch) {
  const most = Math.max(0, ...launch.lanes.map(l => l.handOffs.length));
  for (let i = 0; i < most; i++) {
    const starts = launch.lanes.map(l => l.handOffs[i]).filter(t => t !== undefined);
    const reruns = launch.lanes.map(l => l.marks.filter(m => m.event === 'gang-rerun')[i]).filter(m => m);
    const to = reruns.length ? Math.min(...reruns.map(m => m.time)) : launch.ended;
    const good = !reruns.length && (launch.verdict === 'done' || launch.exit === 0);
    launch.tries.push({
      number: i + 1,
      from: Math.min(...starts),
      to,
      good,
      message: reruns.length ? reruns[0].message : launch.cause
    });
  }
}

/* A block that was found before a task began is what that task reads. */
function readsBlock(launch, event, began) {
  return began >= launch.found.get(event.rdd + ' ' + event.partition) - 1e-3;
}

function finishLaunch(launch, record) {
  launch.lanes.sort((a, b) => a.rank - b.rank);
  launch.began = Math.min(...launch.lanes.map(l => l.began), launch.lanes.length ? Infinity : launch.began);
  launch.ended = Math.max(launch.began, ...launch.lanes.map(l => l.last));
  const starts = launch.lanes.map(l => l.start);
  launch.ranks = Math.max(0, ...starts.map(s => s.ranks || 0), ...launch.lanes.map(l => l.rank + 1));
  const seen = new Set(launch.lanes.map(l => l.rank));
  for (let r = 0; r < launch.ranks; r++)
    if (!seen.has(r)) launch.missing.push(r);
  launch.start = starts.find(s => s.command) || {};
  launch.hosts = [...new Set(starts.map(s => s.host).filter(h => h))];
  judge(launch, record);
  findTries(launch);
  for (const lane of launch.lanes)
    for (const event of lane.events) {
      if (event.event === 'block-found') {
        const key = event.rdd + ' ' + event.partition;
        launch.found.set(key, Math.min(event.time, launch.found.has(key) ? launch.found.get(key) : Infinity));
      }
      if (event.event === 'settings') launch.settings = event;
      if (event.event === 'result') launch.result = event.result;
      if (event.event === 'resumed') launch.resumed = event.iteration;
    }
  for (const lane of launch.lanes)
    for (const task of lane.tasks) task.found = readsBlock(launch, task, task.from);
}

/* ---- All of it ---- */

/* The stages of a launch, in the order in which they began. */
function stagesOf(launch) {
  const stages = new Map();
  for (const lane of launch.lanes)
    for (const task of lane.tasks) {
      const key = [task.what, task.rdd, task.stage].join('\n');
      if (!stages.has(key))
        stages.set(key, {
          launch,
          what: task.what,
          rdd: task.rdd,
          stage: task.stage,
          partitions: new Set(),
          done: 0,
          crashed: 0,
          other: 0,
          found: 0,
          rows: 0,
          bytes: 0,
          seconds: []
        });
      const s = stages.get(key);
      s.partitions.add(task.partition);
      if (task.how === 'done') {
        s.done++;
        s.found += task.found;
        s.rows += task.rows || 0;
        s.bytes += task.bytes || 0;
        s.seconds.push(task.seconds || 0);
      } else if (task.how === 'crashed')
        s.crashed++;
      else
        s.other++;
    }
  for (const s of stages.values()) s.seconds.sort((a, b) => a - b);
  return [...stages.values()];
}

/* Each iteration as it was made last, and how often it was. */
function iterationsOf(launches) {
  const made = new Map();
  for (const launch of launches)
    for (const lane of launch.lanes)
      for (const event of lane.events)
        if (event.event === 'iteration' && typeof event.iteration === 'number') {
          const before = made.get(event.iteration);
          made.set(event.iteration, Object.assign({launch, times: before ? before.times + 1 : 1}, event));
        }
  return [...made.values()].sort((a, b) => a.iteration - b.iteration);
}

/* Graphs of the last launch that told any: one for each set of stages; of the same name the last. */
function graphsOf(launches) {
  const graphs = new Map();
  for (const launch of launches) {
    const mine = new Map();
    for (const lane of launch.lanes)
      for (const event of lane.events) {
        if (event.event !== 'lineage') continue;
        if (event.node === 0 || !mine.has(event.what)) mine.set(event.what, {what: event.what, nodes: []});
        mine.get(event.what).nodes.push(Object.assign({}, event, {states: new Map()}));
      }
    for (const [what, graph] of mine) graphs.set(what, graph);
  }
  for (const graph of graphs.values())
    for (const node of graph.nodes)
      for (const launch of launches)
        for (const lane of launch.lanes)
          for (const event of lane.events) {
            if (event.rdd !== node.rdd || event.what !== graph.what || typeof event.partition !== 'number')
              continue;
            if (!node.states.has(event.partition)) node.states.set(event.partition, {});
            const state = node.states.get(event.partition);
            if (event.event === 'task-finished')
              state.made = (state.made || 0) + !readsBlock(launch, event, event.time - (event.seconds || 0));
            else
              state[event.event] = (state[event.event] || 0) + 1;
          }
  return [...graphs.values()];
}

function readRun(data) {
  const launches = joinLanes(data);
  joinSupervisor(data, launches);
  for (const launch of launches) finishLaunch(launch, data.record);
  launches.sort((a, b) => a.began - b.began);
  launches.forEach((launch, i) => {
    const same = launches.filter(l => l.attempt === launch.attempt);
    launch.index = i;
    launch.name = launch.attempt + (same.length > 1 ? ', start ' + (1 + same.indexOf(launch)) : '');
  });
  const run = {data, launches, last: launches[launches.length - 1]};
  run.stages = [].concat(...launches.map(stagesOf));
  run.iterations = iterationsOf(launches);
  run.graphs = graphsOf(launches);
  run.ranks = Math.max(0, ...launches.map(l => l.ranks));
  run.tasks = [].concat(...launches.map(l => [].concat(...l.lanes.map(lane => lane.tasks))));
  run.notes = notesOf(run);
  return run;
}

/* What is not whole. */
function notesOf(run) {
  const notes = [];
  for (const file of run.data.files) {
    if (file.cut) notes.push(file.name + ' was cut in the middle of a line, which is left out');
    if (file.broken)
      notes.push(file.name + ' has ' + file.broken + ' line' + (file.broken === 1 ? '' : 's') +
                 ' that can not be read, left out');
  }
  for (const launch of run.launches)
    if (launch.missing.length)
      notes.push('of attempt ' + launch.name + ' there is no log of rank' +
                 (launch.missing.length === 1 ? ' ' : 's ') + launch.missing.slice(0, 20).join(', ') +
                 (launch.missing.length > 20 ? ', ...' : ''));
  return notes;
}
