// Draws a dashboard with Grafana's own components: panels, graphs, tables, numbers. State timelines and bar charts are plugins that Grafana
// does not publish; they are drawn here in its colours.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { of, firstValueFrom } from 'rxjs';
import {
  createTheme, dateTime, FieldType, getDisplayProcessor, getFieldDisplayName, standardTransformers, ThemeContext, toDataFrame,
} from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

const given = window.given;
const theme = createTheme({ colors: { mode: given.mode } });
const CELL = 30, GAP = 8;
const color = (name) => theme.visualization.getColorByName(name);

const interpolated = (text) => text.replace(/\$\{?(\w+)\}?/g, (whole, name) => given.variables[name] ?? whole);

function displayed(frames, panel) {
  let index = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      const config = structuredClone({ ...panel.fieldConfig.defaults, ...field.config });
      const name = getFieldDisplayName(field, frame, frames);
      for (const override of panel.fieldConfig.overrides) {
        if (override.matcher.options !== name) continue;
        for (const { id, value } of override.properties) {
          if (id.startsWith('custom.')) (config.custom ??= {})[id.slice(7)] = value;
          else config[id] = value;
        }
      }
      config.custom ??= {};
      if (field.type === FieldType.number) {
        config.color ??= { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
        config.thresholds ??= { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }] };
        for (const step of config.thresholds.steps) step.value ??= -Infinity;
        field.state = { ...field.state, seriesIndex: index++ };
      }
      field.config = config;
      field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
      field.getLinks = () => [];
    }
  }
  return frames;
}

const legendOf = (target, labels) =>
  target.legendFormat ? target.legendFormat.replace(/\{\{(\w+)\}\}/g, (_, name) => labels[name] ?? '') : undefined;

function seriesFrames(panel, results) {
  const grid = [];
  for (let at = given.from; at <= given.to; at += given.steps[panel.id]) grid.push(Math.round(at));
  return panel.targets.flatMap((target, n) => results[n].map((one) => {
    const held = new Map((one.values ?? [one.value]).map(([at, value]) => [Math.round(at), parseFloat(value)]));
    const times = one.values ? grid : [...held.keys()];
    const name = legendOf(target, one.metric) ?? (Object.values(one.metric).join(' ') || undefined);
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: times.map((at) => at * 1000), config: {} },
        { name: 'Value', type: FieldType.number, values: times.map((at) => held.get(at) ?? null), config: { displayNameFromDS: name } },
      ],
    });
  }));
}

async function tableFrame(panel, results) {
  const frames = panel.targets.map((target, n) => {
    const labels = [...new Set(results[n].flatMap((one) => Object.keys(one.metric)))].sort();
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: results[n].map((one) => one.value[0] * 1000) },
        ...labels.map((name) => ({ name, type: FieldType.string, values: results[n].map((one) => one.metric[name] ?? '') })),
        {
          name: panel.targets.length > 1 ? `Value #${target.refId}` : 'Value',
          type: FieldType.number,
          values: results[n].map((one) => parseFloat(one.value[1])),
        },
      ],
    });
  }).filter((frame) => frame.length);
  let data = frames;
  const transformers = { merge: standardTransformers.mergeTransformer, organize: standardTransformers.organizeFieldsTransformer };
  for (const { id, options } of panel.transformations ?? []) {
    data = await firstValueFrom(of(data).pipe(transformers[id].operator(options, { interpolate: (text) => text })));
  }
  return data[0];
}

function Empty({ panel, width, height }) {
  return (
    <div style={{ width, height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary }}>
      {panel.fieldConfig.defaults.noValue}
    </div>
  );
}

function Numbers({ panel, frames, width, height }) {
  const all = frames.map((frame) => {
    const field = frame.fields[1];
    const shown = field.display(field.values.at(-1));
    return { ...shown, title: frames.length > 1 || panel.options.textMode === 'value_and_name' ? getFieldDisplayName(field, frame, frames) : undefined };
  });
  return (
    <VizRepeater
      theme={theme} width={width} height={height} source={all} getValues={() => all} orientation="auto" autoGrid renderCounter={1}
      renderValue={({ value, width: w, height: h, count }) => (
        <BigValue
          value={value} width={w} height={h} theme={theme} count={count} colorMode={panel.options.colorMode} graphMode="none"
          justifyMode="auto" textMode={panel.options.textMode} wideLayout
        />
      )}
    />
  );
}

function marked(builder) {
  if (builder.marked) return;
  builder.marked = true;
  builder.addHook('draw', (u) => {
    const { ctx, bbox } = u;
    const x = (at) => u.valToPos(at * 1000, 'x', true);
    for (const one of given.board.annotations.list) {
      for (const { values } of given.marks[one.name] ?? []) {
        ctx.save();
        ctx.fillStyle = ctx.strokeStyle = color(one.iconColor);
        if (one.useValueForTime) {
          for (const at of new Set(values.map(([, value]) => parseFloat(value) / 1000))) {
            if (at < given.from) continue;
            ctx.setLineDash([4, 4]);
            ctx.beginPath();
            ctx.moveTo(x(at), bbox.top);
            ctx.lineTo(x(at), bbox.top + bbox.height);
            ctx.stroke();
          }
        } else {
          let start = values[0][0], last = start;
          const region = () => {
            ctx.globalAlpha = 0.1;
            ctx.fillRect(x(start), bbox.top, x(last) - x(start), bbox.height);
            ctx.globalAlpha = 1;
            ctx.fillRect(x(start), bbox.top + bbox.height, x(last) - x(start), 3);
          };
          for (const [at] of values) {
            if (at - last > 2 * given.step) { region(); start = at; }
            last = at;
          }
          region();
        }
        ctx.restore();
      }
    }
  });
}

function Graph({ panel, frames, width, height }) {
  const legend = panel.options.legend;
  const range = { from: dateTime(given.from * 1000), to: dateTime(given.to * 1000), raw: { from: '', to: '' } };
  return (
    <TimeSeries frames={frames} width={width} height={height} timeRange={range} timeZone="utc" legend={legend}>
      {(builder) => { marked(builder); return null; }}
    </TimeSeries>
  );
}

function Timeline({ panel, frames, width, height }) {
  const label = Math.min(150, 16 + 7 * Math.max(...frames.map((f) => getFieldDisplayName(f.fields[1], f, frames).length)));
  const days = 86400, room = width - label - 16, axis = 22, legend = 26;
  const rowHeight = Math.min(46, (height - axis - legend) / frames.length);
  const x = (at) => ((at - given.from) / (given.to - given.from)) * room;
  const ticks = [];
  for (let at = Math.ceil(given.from / (14 * days)) * 14 * days; at < given.to; at += 14 * days) ticks.push(at);
  const seen = new Map();
  const rows = frames.map((frame) => {
    const [time, value] = frame.fields;
    const runs = [];
    value.values.forEach((one, i) => {
      if (one === null) return;
      const shown = value.display(one);
      if (shown.color && shown.text !== 'no') seen.set(shown.text, shown.color);
      const last = runs.at(-1);
      if (last && last.text === shown.text && last.next === i) Object.assign(last, { next: i + 1 });
      else runs.push({ text: shown.text, color: shown.color, start: i, next: i + 1 });
    });
    return { name: getFieldDisplayName(value, frame, frames), runs, time };
  });
  return (
    <div style={{ position: 'relative', width, height, fontSize: 12, color: theme.colors.text.primary }}>
      {rows.map((row, r) => (
        <React.Fragment key={r}>
          <div style={{ position: 'absolute', left: 0, width: label - 8, top: r * rowHeight, height: rowHeight, lineHeight: `${rowHeight}px`, textAlign: 'right', overflow: 'hidden', whiteSpace: 'nowrap' }}>{row.name}</div>
          {row.runs.map((run, n) => {
            const left = x(row.time.values[run.start] / 1000);
            const right = x(Math.min(given.to, row.time.values[Math.min(run.next, row.time.values.length - 1)] / 1000));
            return (
              <div key={n} style={{ position: 'absolute', left: label + left, width: Math.max(1, right - left), top: r * rowHeight + rowHeight * 0.1, height: rowHeight * 0.8, background: run.color, opacity: 0.8, overflow: 'hidden', lineHeight: `${rowHeight * 0.8}px`, textAlign: 'center', color: theme.colors.getContrastText(run.color === 'transparent' || run.color === '#00000000' ? theme.colors.background.primary : run.color), whiteSpace: 'nowrap' }}>
                {right - left > 7 * run.text.length && run.text !== 'no' ? run.text : ''}
              </div>
            );
          })}
        </React.Fragment>
      ))}
      {ticks.map((at) => (
        <div key={at} style={{ position: 'absolute', left: label + x(at) - 30, width: 60, top: rows.length * rowHeight + 3, textAlign: 'center', color: theme.colors.text.secondary }}>
          {new Date(at * 1000).toISOString().slice(5, 10).replace('-', '/')}
        </div>
      ))}
      <div style={{ position: 'absolute', left: 8, top: rows.length * rowHeight + axis + 2 }}>
        {[...seen].map(([text, fill]) => (
          <span key={text} style={{ marginRight: 14 }}><span style={{ display: 'inline-block', width: 14, height: 4, borderRadius: 2, background: fill, marginRight: 6, verticalAlign: 'middle' }} />{text}</span>
        ))}
      </div>
    </div>
  );
}

function Bars({ panel, frame, width, height }) {
  const [category, ...series] = frame.fields;
  const most = Math.max(...series.flatMap((f) => f.values.filter((v) => v !== null)));
  const label = 150, axis = 22, legend = 24, room = width - label - 24;
  const band = (height - axis - legend) / frame.length;
  const each = (band * 0.8) / series.length;
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((s) => most / s <= 6) ?? 0.5;
  const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, n) => n * step);
  const fill = (f) => color(f.config.color.fixedColor);
  return (
    <svg width={width} height={height} fontSize={12} fontFamily={theme.typography.fontFamily} fill={theme.colors.text.primary}>
      {ticks.map((v) => (
        <g key={v}>
          <line x1={label + (v / most) * room} x2={label + (v / most) * room} y1={0} y2={frame.length * band} stroke={theme.colors.border.weak} />
          <text x={label + (v / most) * room} y={frame.length * band + 15} textAnchor="middle" fill={theme.colors.text.secondary}>{series[0].display(v).text}{series[0].display(v).suffix}</text>
        </g>
      ))}
      {category.values.map((name, i) => (
        <g key={name}>
          <text x={label - 8} y={i * band + band / 2 + 4} textAnchor="end">{name}</text>
          {series.map((f, s) => (
            <rect key={s} x={label} y={i * band + band * 0.1 + s * each} width={((f.values[i] ?? 0) / most) * room} height={each * 0.9} fill={fill(f)} opacity={0.8} />
          ))}
        </g>
      ))}
      {series.map((f, s) => (
        <g key={s} transform={`translate(${12 + s * 110}, ${height - 12})`}>
          <rect width={14} height={4} y={2} rx={2} fill={fill(f)} /><text x={20} y={8}>{getFieldDisplayName(f)}</text>
        </g>
      ))}
    </svg>
  );
}

function Body({ panel, data, width, height }) {
  if (!data || (Array.isArray(data) ? !data.length : !data.length)) return <Empty panel={panel} width={width} height={height} />;
  if (panel.type === 'stat') return <Numbers panel={panel} frames={data} width={width} height={height} />;
  if (panel.type === 'timeseries') return <Graph panel={panel} frames={data} width={width} height={height} />;
  if (panel.type === 'state-timeline') return <Timeline panel={panel} frames={data} width={width} height={height} />;
  if (panel.type === 'barchart') return <Bars panel={panel} frame={data} width={width} height={height} />;
  return (
    <TableNG
      data={data} width={width} height={height} cellHeight="sm" sortBy={panel.options.sortBy} noValue="" enableVirtualization={false}
      fieldConfig={panel.fieldConfig} structureRev={1} timeRange={undefined}
    />
  );
}

function Board({ panels, width }) {
  const unit = (width + GAP) / 24;
  const top = Math.min(...panels.map(({ panel }) => panel.gridPos.y));
  const place = ({ x, y, w, h }) => ({ left: x * unit, top: (y - top) * (CELL + GAP), width: w * unit - GAP, height: h * (CELL + GAP) - GAP });
  const bottom = Math.max(...panels.map(({ panel }) => panel.gridPos.y + panel.gridPos.h));
  return (
    <div style={{ position: 'relative', width, height: (bottom - top) * (CELL + GAP) }}>
      {panels.map(({ panel, data }) => {
        const { left, top: y, width: w, height: h } = place(panel.gridPos);
        const style = { position: 'absolute', left, top: y, width: w, height: h };
        if (panel.type === 'row') {
          return <div key={panel.id} style={{ ...style, fontSize: 16, fontWeight: 500, lineHeight: `${h}px`, color: theme.colors.text.primary }}>⌄ {panel.title}</div>;
        }
        return (
          <div key={panel.id} style={style} data-panel={panel.title}>
            <PanelChrome title={interpolated(panel.title)} description={panel.description} width={w} height={h} padding={panel.type === 'stat' ? 'none' : 'md'}>
              {(innerWidth, innerHeight) => <Body panel={panel} data={data} width={innerWidth} height={innerHeight} />}
            </PanelChrome>
          </div>
        );
      })}
    </div>
  );
}

async function main() {
  document.body.style.cssText = `margin:0;background:${theme.colors.background.canvas};color:${theme.colors.text.primary};font:${theme.typography.fontSize}px ${theme.typography.fontFamily}`;
  const panels = [];
  for (const panel of given.board.panels) {
    if (!given.ids.includes(panel.id)) continue;
    const results = given.panels[panel.id];
    let data;
    if (panel.type === 'table' || panel.type === 'barchart') {
      const frame = await tableFrame(panel, results);
      data = frame && frame.length ? displayed([frame], panel)[0] : undefined;
    } else if (panel.type !== 'row') {
      data = displayed(seriesFrames(panel, results), panel);
    }
    panels.push({ panel, data });
  }
  const top = Object.entries(given.variables).filter(([name]) => given.board.templating.list.some((one) => one.name === name));
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ padding: 12 }} id="page">
        {given.heading && (
          <div style={{ marginBottom: 10 }}>
            <div style={{ fontSize: 18, fontWeight: 500, marginBottom: 8 }}>{given.board.title}</div>
            {top.map(([name, value]) => (
              <span key={name} style={{ marginRight: 12, border: `1px solid ${theme.colors.border.medium}`, padding: '4px 8px', borderRadius: 2 }}>
                <span style={{ color: theme.colors.text.secondary, marginRight: 8 }}>{given.board.templating.list.find((one) => one.name === name).label}</span>{value}
              </span>
            ))}
          </div>
        )}
        <Board panels={panels} width={given.width} />
      </div>
    </ThemeContext.Provider>
  );
  setTimeout(() => document.body.setAttribute('data-done', 'yes'), 1500);
}
main();
