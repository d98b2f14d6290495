/* The sections of the page, but for the timeline; and the start of it all. */

const COST_NAMES = {
  read: 'read',
  handoff: 'hand-off',
  gram: 'gram',
  solve: 'solve',
  test: 'test',
  exchange: 'exchange',
  checkpoint: 'checkpoint',
  write: 'write',
  waiting: 'waiting',
  other: 'other'
};
const VERDICTS = {
  'done': ['done', 'good'],
  'stopped': ['stopped at a checkpoint', 'warn'],
  'again': ['failed', 'bad'],
  'given up': ['given up', 'bad'],
  'failed': ['failed', 'bad'],
  'died': ['died', 'bad'],
  'no end': ['no end in the log', 'warn']
};

function words(command) { return command.replace(/(^|\s)\S*\/(als)(?=\s)/, '$1$2'); }
function facts(parent, list) {
  const dl = html(parent, 'dl');
  for (const [name, value] of list) {
    if (value === undefined || value === '' || value === null) continue;
    const box = html(dl, 'div');
    html(box, 'dt', {}, name);
    html(box, 'dd', {}, String(value));
  }
}
function latest(run, key) {
  for (let i = run.launches.length - 1; i >= 0; i--)
    if (run.launches[i][key]) return run.launches[i][key];
  return null;
}

/* ---- What was run ---- */

/* The command and its first input, wherever that was said: on the line, or by --config. */
function titleOf(run, command) {
  const settings = latest(run, 'settings');
  if (!settings) return words(command).split(' ').slice(0, 3).join(' ') || 'A run without a log';
  const inputs = (settings.options || {}).arguments || [];
  return ['als', settings.command, ...inputs.slice(0, 1), ...(inputs.length > 1 ? ['...'] : [])].join(' ');
}

function headerOf(run) {
  const last = run.last,
        command = last.start.command || (last.supervised ? last.supervised.command.join(' ') : '');
  const title = titleOf(run, command);
  section('title').textContent = title;
  document.title = title + ' \u2013 gangplank';
  const [text, cls] = VERDICTS[last.verdict] || [last.verdict, 'warn'], p = section('verdict');
  html(p, 'span', {class: 'badge ' + cls}, text);
  const bits = [];
  if (run.launches.length > 1) bits.push(count(run.launches.length) + ' attempts');
  const crashed = run.tasks.filter(t => t.how === 'crashed').length;
  if (crashed) bits.push(count(crashed) + (crashed === 1 ? ' task' : ' tasks') + ' crashed');
  const aborted = run.launches.reduce((n, l) => n + l.tries.filter(t => !t.good).length, 0);
  if (aborted) bits.push('the gang aborted ' + (aborted === 1 ? 'once' : count(aborted) + ' times'));
  bits.push(seconds(last.ended - run.launches[0].began) + ' from the first event to the last');
  const final = run.iterations[run.iterations.length - 1];
  if (final && typeof final.rmse_train === 'number') bits.push('RMSE ' + fixed(final.rmse_train, 5));
  html(p, 'span', {}, ' ' + bits.join(' \u00b7 '));
  if (last.cause) html(p, 'div', {class: cls}, last.cause);
}

function runSection(run) {
  const parent = section('run'), last = run.last, start = last.start,
        settings = latest(run, 'settings') || {}, result = latest(run, 'result') || {};
  html(parent, 'pre', {class: 'mono'},
       start.command || (last.supervised ? last.supervised.command.join(' ') : ''));
  for (const note of run.notes) html(parent, 'p', {class: 'note'}, note);
  const shape = n => typeof n === 'number' ? count(n) : undefined;
  facts(parent, [
    ['began', moment(run.launches[0].began)], ['version', start.version], ['ranks', last.ranks],
    ['threads of a rank', settings.threads], ['nodes', start.nodes],
    ['hosts', last.hosts.slice(0, 8).join(', ') + (last.hosts.length > 8 ? ', ...' : '')],
    ['cores of a host', start.cores], ['memory of a host', start.memory && bytes(start.memory)],
    ['kernels', start.kernels], ['MPI', settings.mpi], ['ratings', shape(result.ratings)],
    ['users', shape(result.users)], ['items', shape(result.items)], ['iterations', result.iterations],
    ['best iteration', result.best_iteration], ['digest', result.digest], ['exit status', last.exit >= 0 ? last.exit : undefined],
    ['work directory', run.data.directory]
  ]);
  if (run.launches.length > 1 || last.supervised) html(parent, 'h3', {}, 'Attempts');
  if (run.launches.length > 1 || last.supervised)
    table(parent,
          [
            {name: 'attempt', of: l => l.name}, {name: 'began', of: l => moment(l.began)},
            {name: 'took', of: l => seconds(l.ended - l.began)}, {name: 'ranks', of: l => l.ranks},
            {name: 'resumed after iteration', of: l => l.resumed || ''}, {
              name: 'ended',
              text: true,
              of: l => (VERDICTS[l.verdict] || [l.verdict])[0],
              bad: l => l.verdict !== 'done'
            },
            {name: 'why', text: true, long: true, of: l => l.cause || ''},
            {name: 'the next', text: true, long: true, of: l => l.next || ''}
          ],
          run.launches);
  html(parent, 'p', {class: 'soft'},
       'Terms: seconds are wall time, bytes are counted in thousands (1 MB = 1,000,000 B).');
}

/* ---- Lineage ---- */

function cellClass(state) {
  if (!state) return 'none';
  if (state['block-lost']) return 'rerun';
  if (state['block-found']) return 'found';
  return state.made ? 'read' : 'none';
}
function tellCell(node, p, state) {
  const lines = ['partition ' + p + ' of ' + node.rdd], times = {
    made: 'computed',
    'block-stored': 'block kept',
    'block-found': 'block found and used',
    'block-lost': 'block lost, so computed again',
    'task-crashed': 'task crashed, and was run again'
  };
  for (const key in times)
    if (state && state[key]) lines.push(times[key] + (state[key] > 1 ? ', ' + state[key] + ' times' : ''));
  if (lines.length === 1) lines.push('in the tasks of what is made of it');
  return lines.join('\n');
}
function drawNode(s, node, x, y, width) {
  const n = node.partitions, shown = Math.min(n, 240),
        each = Math.min(14, (width - 20) / Math.min(shown || 1, 40)),
        row = Math.max(1, Math.floor((width - 20) / each));
  const lines = Math.ceil(shown / row), high = 42 + lines * each + 8;
  const of = key => [...node.states.values()].filter(st => st[key]).length;
  const list = [count(n) + (n === 1 ? ' partition' : ' partitions')];
  if (node.kept) list.push('kept: ' + node.kept);
  if (of('block-found')) list.push(of('block-found') + ' found');
  if (of('task-crashed')) list.push(of('task-crashed') + ' run again');
  if (of('block-lost')) list.push(of('block-lost') + ' lost');
  svg(s, 'rect', {x, y, width, height: high, rx: 5, class: 'box' + (node.kept ? ' kept' : '')});
  svg(s, 'text', {x: x + 10, y: y + 17, 'font-weight': 600}, fitted(node.rdd, width - 20));
  svg(s, 'text', {x: x + 10, y: y + 33, class: 'soft'}, fitted(list.join(' \u00b7 '), width - 20));
  for (let p = 0; p < shown; p++) {
    const state = node.states.get(p), cx = x + 10 + p % row * each, cy = y + 40 + Math.floor(p / row) * each;
    markShape(s, 'rect',
              {x: cx, y: cy, width: each - 1.5, height: each - 1.5, class: 'cell ' + cellClass(state)},
              tellCell(node, p, state));
    if (state && state['task-crashed'])
      svg(s, 'path', {
        d: `M${cx + 2} ${cy + 2}L${cx + each - 3} ${cy + each - 3}M${cx + each - 3} ${cy + 2}L${cx + 2} ${
            cy + each - 3}`,
        class: 'cross',
        'pointer-events': 'none',
        style: 'stroke-width:1.5'
      });
  }
  return high;
}
/* Parents above children; those of one depth side by side. */
function drawGraph(parent, graph, gang) {
  const nodes = graph.nodes.slice(0, 60), depth = [], rows = [];
  nodes.forEach((node, i) => {
    depth[i] = 1 + Math.max(-1, ...node.parents.filter(p => p < i).map(p => depth[p]));
    (rows[depth[i]] = rows[depth[i]] || []).push(i);
  });
  const width = Math.min(widthOf(parent), 900), s = picture(parent, width, 10, 'Lineage of ' + graph.what),
        place = [];
  s.style.maxWidth = width + 'px';
  let y = 4;
  for (const row of rows) {
    const each = Math.min(420, (width - 8) / row.length - 10);
    let high = 0;
    row.forEach((i, k) => {
      const h = drawNode(s, nodes[i], 4 + k * (each + 14), y, each);
      place[i] = {x: 4 + k * (each + 14) + each / 2, top: y, bottom: y + h};
      high = Math.max(high, h);
    });
    y += high + 34;
  }
  function arrow(from, to, wide) {
    svg(s, 'path', {
      d: `M${from.x} ${from.bottom}C${from.x} ${from.bottom + 18} ${to.x} ${to.top - 18} ${to.x} ${
          to.top - 6}`,
      class: 'edge' + (wide ? ' wide' : '')
    });
    svg(s, 'path',
        {d: `M${to.x - 4} ${to.top - 7}L${to.x} ${to.top - 1}L${to.x + 4} ${to.top - 7}`, class: 'edge'});
  }
  nodes.forEach((node, i) => {
    for (const p of node.parents)
      if (place[p]) arrow(place[p], place[i], node.wide);
  });
  if (gang) {
    const from = place[nodes.length - 1], w = Math.min(420, width - 18), to = {x: 4 + w / 2, top: y};
    svg(s, 'rect', {x: 4, y, width: w, height: 28, rx: 5, class: 'gang'});
    svg(s, 'text', {x: 14, y: y + 18}, fitted('hand-off to the gang: ' + gang, w - 20));
    arrow(from, to, true);
    y += 34;
  }
  s.setAttribute('viewBox', '0 0 ' + width + ' ' + y);
  s.setAttribute('height', y);
  if (nodes.length < graph.nodes.length)
    html(parent, 'p', {class: 'soft'},
         count(graph.nodes.length - nodes.length) + ' more RDDs are in the table.');
}
function lineageSection(run) {
  const parent = section('lineage'), rows = [];
  if (!run.graphs.length) {
    html(parent, 'p', {}, 'The log has no lineage.');
    return;
  }
  const last = run.launches.filter(l => l.tries.length).pop();
  for (const graph of run.graphs) {
    html(parent, 'h3', {}, graph.what);
    drawGraph(parent, graph, last ? last.ranks + (last.ranks === 1 ? ' rank' : ' ranks') : '');
    for (const node of graph.nodes) rows.push({graph, node});
  }
  legend(parent, [
    ['read', 'computed'], ['found', 'found kept, and used'], ['rerun', 'lost, and computed again'],
    ['none', 'in the tasks of what is made of it'], ['cross', 'its task crashed, and was run again']
  ]);
  html(parent, 'p', {class: 'soft'},
       'A thick frame is kept; a thick arrow is wide: every partition of one needs all of the other.');
  const of = key => row => count([...row.node.states.values()].filter(st => st[key]).length);
  foldedTable(parent, 'As a table',
              [
                {name: 'stage of', text: true, of: r => r.graph.what},
                {name: 'RDD', text: true, of: r => r.node.rdd},
                {name: 'partitions', of: r => count(r.node.partitions)}, {
                  name: 'made of',
                  text: true,
                  of: r => r.node.parents.map(p => (r.graph.nodes[p] || {}).rdd).join(', ') +
                           (r.node.wide ? ' (wide)' : '')
                },
                {name: 'kept', text: true, of: r => r.node.kept || 'no'}, {name: 'computed', of: of('made')},
                {name: 'stored', of: of('block-stored')}, {name: 'found', of: of('block-found')},
                {name: 'lost', of: of('block-lost')}, {name: 'crashed', of: of('task-crashed')}
              ],
              rows);
}

/* ---- Tasks ---- */

function tasksSection(run) {
  const parent = section('tasks'), middle = list => list.length ? list[Math.floor((list.length - 1) / 2)] : 0;
  if (!run.stages.length) {
    html(parent, 'p', {}, 'No task was run.');
    return;
  }
  table(parent,
        [
          {name: 'stage of', text: true, of: s => s.what}, {name: 'makes', text: true, of: s => s.rdd},
          {name: 'attempt', of: s => s.launch.name},
          {name: 'partitions', of: s => count(s.partitions.size)},
          {name: 'tasks done', of: s => count(s.done)}, {name: 'from blocks', of: s => count(s.found)},
          {name: 'crashed', of: s => count(s.crashed), bad: s => s.crashed > 0},
          {name: 'not done', of: s => count(s.other), bad: s => s.other > 0},
          {name: 'rows', of: s => count(s.rows)}, {name: 'result', of: s => bytes(s.bytes)},
          {name: 'median', of: s => seconds(middle(s.seconds))},
          {name: 'longest', of: s => seconds(s.seconds[s.seconds.length - 1] || 0)},
          {name: 'in all', of: s => seconds(s.seconds.reduce((a, b) => a + b, 0))}
        ],
        run.stages);
  const bad = run.tasks.filter(t => t.how !== 'done' || t.attempt > 1);
  if (!bad.length) return;
  html(parent, 'h3', {}, 'What did not go as planned');
  const launchOf = new Map();
  for (const l of run.launches)
    for (const lane of l.lanes) launchOf.set(lane, l);
  const how =
      {done: 'done', crashed: 'crashed', failed: 'failed', abandoned: 'given up', cut: 'ended with its rank'};
  foldedTable(parent, count(bad.length) + (bad.length === 1 ? ' task' : ' tasks'),
              [
                {name: 'partition', of: t => t.partition}, {name: 'of', text: true, of: t => t.rdd},
                {name: 'attempt of the run', of: t => launchOf.get(t.lane).name},
                {name: 'rank', of: t => t.lane.rank}, {name: 'attempt of the task', of: t => t.attempt},
                {name: 'came to', text: true, of: t => how[t.how], bad: t => t.how !== 'done'},
                {name: 'after', of: t => seconds(t.to - t.from)},
                {name: 'message', text: true, long: true, of: t => t.message || ''}
              ],
              bad);
}

/* ---- Convergence ---- */

function convergenceSection(run) {
  const parent = section('convergence'), list = run.iterations;
  if (!list.length) {
    html(parent, 'p', {}, 'No iteration was made.');
    return;
  }
  const keys = [
    ['rmse_train', 'RMSE, training'], ['rmse_test', 'RMSE, test'], ['rmse_validation', 'RMSE, validation'],
    ['ndcg_validation', 'NDCG@10, validation']
  ].filter(([k]) => list.some(i => typeof i[k] === 'number'));
  const curve = (key, name) => ({
    name,
    points:
        list.filter(i => typeof i[key] === 'number')
            .map(
                i => [i.iteration, i[key], 'iteration ' + i.iteration + '\n' + name + ' ' + fixed(i[key], 8)])
  });
  const pair = html(parent, 'div', {class: 'pair'}), rmse = keys.filter(([k]) => k !== 'ndcg_validation'),
        ndcg = keys.filter(([k]) => k === 'ndcg_validation');
  const objective = curve('objective', 'objective'), values = objective.points.map(p => p[1]);
  const charts = [];
  if (rmse.length) charts.push([rmse.length > 1 ? 'RMSE' : rmse[0][1], rmse.map(k => curve(...k)), false]);
  if (ndcg.length) charts.push([ndcg[0][1], ndcg.map(k => curve(...k)), false]);
  if (values.length)
    charts.push([
      'objective', [objective], Math.min(...values) > 0 && Math.max(...values) > 20 * Math.min(...values)
    ]);
  const boxes = charts.map(() => html(pair, 'div')); /* all of them first, since they share the width */
  charts.forEach((c, i) => chart(boxes[i], ...c));
  foldedTable(parent, 'Iterations',
              [
                {name: 'iteration', of: i => i.iteration + (i.exact ? ' (exact)' : '')},
                ...keys.map(([k, name]) => ({name, of: i => typeof i[k] === 'number' ? fixed(i[k], 8) : ''})),
                {name: 'objective', of: i => fixed(i.objective, 9)},
                {name: 'ratings', of: i => fixed(i.loss_ratings, 7)},
                {name: 'pairs', of: i => fixed(i.loss_pairs, 7)},
                {name: 'regularisation', of: i => fixed(i.loss_reg, 7)},
                {name: 'took', of: i => seconds(i.seconds)},
                {name: 'made in attempt', of: i => i.launch.name}, {name: 'times made', of: i => i.times}
              ],
              list);
}

/* ---- Time, bytes, memory: by rank ---- */

/* Sums over the launches, rank by rank. */
function byRank(run) {
  const rows = Array.from({length: run.ranks}, (_, rank) => ({
                                                 rank,
                                                 seconds: 0,
                                                 costs: {},
                                                 moved: {},
                                                 sent: 0,
                                                 between: 0,
                                                 messages: 0,
                                                 exchanged: 0,
                                                 peak: 0,
                                                 memory: {}
                                               }));
  for (const launch of run.launches)
    for (const lane of launch.lanes) {
      const row = rows[lane.rank];
      row.seconds += lane.seconds;
      for (const k of COSTS) row.costs[k] = (row.costs[k] || 0) + lane.costs[k];
      for (const k in lane.moved) row.moved[k] = (row.moved[k] || 0) + lane.moved[k];
      row.sent += lane.counters.sent;
      row.between += lane.counters.between_nodes;
      row.messages += lane.counters.messages;
      row.exchanged += lane.spent.reduce((sum, e) => sum + (e.exchange_bytes || 0), 0);
      row.peak = Math.max(row.peak, lane.peak);
      for (const e of lane.memory) row.memory[e.after] = e;
    }
  return rows;
}
function withTotal(rows, total) { return rows.length > 1 ? rows.concat([total]) : rows; }
function nameOf(row) { return row.rank === undefined ? 'all' : 'rank ' + row.rank; }

function timeSection(run, rows) {
  const parent = section('time'), used = COSTS.filter(k => rows.some(r => (r.costs[k] || 0) > 0));
  const total = {seconds: 0, costs: {}};
  for (const r of rows) {
    total.seconds += r.seconds;
    for (const k of used) total.costs[k] = (total.costs[k] || 0) + (r.costs[k] || 0);
  }
  bars(parent, rows.map(r => ({label: nameOf(r), parts: used.map(k => [k, r.costs[k] || 0, COST_NAMES[k]])})),
       seconds, 'Where the time of each rank went');
  legend(parent, used.map(k => [k, COST_NAMES[k]]));
  html(
      parent, 'p', {class: 'soft'},
      'All attempts together. Waiting is for other ranks, in every phase; exchange is data on the move in ' +
          'iterations; other is starting, packing, and iterations that were not finished.');
  const share = r => k => seconds(r.costs[k] || 0) +
                          (r.seconds ? ' (' + Math.round(100 * (r.costs[k] || 0) / r.seconds) + ' %)' : '');
  foldedTable(parent, 'Seconds by rank',
              [
                {name: 'rank', text: true, of: nameOf},
                ...used.map(k => ({name: COST_NAMES[k], of: r => share(r)(k)})),
                {name: 'in all', of: r => seconds(r.seconds)}
              ],
              withTotal(rows, total));
}

function bytesSection(run, rows) {
  const parent = section('bytes'), total = {sent: 0, between: 0, messages: 0, exchanged: 0, moved: {}};
  for (const r of rows) {
    for (const k of ['sent', 'between', 'messages', 'exchanged']) total[k] += r[k];
    for (const k in r.moved) total.moved[k] = (total.moved[k] || 0) + r.moved[k];
  }
  if (total.sent) {
    bars(parent,
         rows.map(
             r => ({
               label: nameOf(r),
               parts: [
                 ['found', r.sent - r.between, 'inside the node'], ['exchange', r.between, 'to other nodes']
               ]
             })),
         bytes, 'Bytes that each rank sent');
    legend(parent, [['found', 'sent to ranks of the same node'], ['exchange', 'sent to other nodes']]);
  } else
    html(parent, 'p', {}, 'No rank sent anything to another.');
  html(
      parent, 'p', {class: 'soft'},
      'What has to leave a rank, however it is carried. A node has one copy of the factors, so ranks of one ' +
          'node send each other none.');
  const of = k => r => bytes(r.moved[k] || 0);
  foldedTable(parent, 'Bytes by rank',
              [
                {name: 'rank', text: true, of: nameOf}, {name: 'sent', of: r => bytes(r.sent)},
                {name: 'of it to other nodes', of: r => bytes(r.between)},
                {name: 'messages', of: r => count(r.messages)}, {name: 'in the hand-off', of: of('hand-off')},
                {name: 'in iterations', of: of('iterations')}, {name: 'else', of: of('other')},
                {name: 'new factors to other nodes', of: r => bytes(r.exchanged)}
              ],
              withTotal(rows, total));
}

function memorySection(run, rows) {
  const parent = section('memory');
  if (!rows.some(r => r.peak)) {
    html(parent, 'p', {}, 'The log has none.');
    return;
  }
  bars(parent, rows.map(r => ({label: nameOf(r), parts: [['handoff', r.peak, 'peak']]})), bytes,
       'The most memory that each rank had');
  html(
      parent, 'p', {class: 'soft'},
      'The most that was resident of each rank. Memory that ranks of a node share counts in each that has ' +
          'touched it; tasks are processes of their own and not in it.');
  const of = (after, key) => r => r.memory[after] ? bytes(r.memory[after][key]) : '';
  foldedTable(parent, 'Memory by rank',
              [
                {name: 'rank', text: true, of: nameOf},
                {name: 'partitions it was given', of: of('hand-off', 'partitions')},
                {name: 'peak after the hand-off', of: of('hand-off', 'peak')},
                {name: 'own after training', of: of('training', 'anonymous')},
                {name: 'shared after training', of: of('training', 'shared')},
                {name: 'peak', of: r => bytes(r.peak)}
              ],
              rows);
}

/* ---- Settings ---- */

function textOf(value) {
  if (typeof value === 'number')
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(8)));
  if (Array.isArray(value))
    return value.length > 12
               ? value.slice(0, 12).map(textOf).join(', ') + ', ... (' + count(value.length) + ' in all)'
               : value.map(textOf).join(', ');
  return typeof value === 'object' && value ? JSON.stringify(value) : String(value);
}
function settingsSection(run) {
  const parent = section('settings'), settings = latest(run, 'settings'), result = latest(run, 'result');
  const rowsOf = object => Object.keys(object).map(key => [key, textOf(object[key])]);
  const columns =
      [{name: 'name', text: true, of: r => r[0]}, {name: 'value', text: true, long: true, of: r => r[1]}];
  const pair = html(parent, 'div', {class: 'pair'}), left = html(pair, 'div'), right = html(pair, 'div');
  html(left, 'h3', {}, 'Options, given or by default');
  if (settings)
    table(left, columns, rowsOf(settings.options));
  else
    html(left, 'p', {}, 'The log has none.');
  html(right, 'h3', {}, 'What it came to');
  if (result && Object.keys(result).length)
    table(right, columns, rowsOf(result));
  else
    html(right, 'p', {}, 'The log has no result.');
}

/* ---- The start ---- */

function fail(message) {
  const box = section('errors');
  box.hidden = false;
  box.textContent += (box.textContent ? '\n' : 'This page could not be drawn whole: ') + message;
}

/* One section that cannot be drawn, of a log that is not ours, takes none of the others with it. */
function attempt(what, act) {
  try {
    return act();
  } catch (error) {
    fail(what + ': ' + error.message);
    return null;
  }
}

function draw() {
  const run = readRun(JSON.parse(section('log').textContent)), rows = byRank(run);
  const parts = {
    run: runSection,
    timeline: timelineSection,
    lineage: lineageSection,
    tasks: tasksSection,
    convergence: convergenceSection,
    time: r => timeSection(r, rows),
    bytes: r => bytesSection(r, rows),
    memory: r => memorySection(r, rows),
    settings: settingsSection
  };
  attempt('header', () => headerOf(run));
  for (const id in parts) {
    html(section('contents'), 'a', {href: '#' + id}, section(id).querySelector('h2').textContent);
    attempt(id, () => parts[id](run));
  }
  section('footer').textContent = 'Made ' + moment(run.data.made) + ' by als report ' + run.data.version +
                                  ', of the event log in ' + run.data.directory +
                                  '. Nothing on this page is loaded from elsewhere.';
  startTips();
  addEventListener('beforeprint', () => {
    for (const d of document.querySelectorAll('details')) d.open = true;
    show(run, -1, 0, 1);
  });
}

addEventListener('error', event => fail(event.message));
attempt('log', draw);
/* Laid out now, so that the number has that in it; for tests. */
document.documentElement.setAttribute('data-height', document.documentElement.offsetHeight);
document.documentElement.setAttribute('data-ready-ms', performance.now().toFixed(0));
