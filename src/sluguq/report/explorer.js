// The explorer: every scored image as a thumbnail, a linked scatter, one image under every configuration.
// Plain JavaScript. Data come as scripts and pictures as sheets of tiles, so that the page opens from a file.
"use strict";

const SluguqExplorer = (() => {
  const byId = (id) => document.getElementById(id);
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };
  const digits = (value) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    let text;
    if (size >= 1000 && size < 1e9) text = Number(value.toPrecision(3)).toLocaleString("en");
    else if (value === 0 || (size >= 1e-4 && size < 1000)) text = String(Number(value.toPrecision(3)));
    else text = value.toExponential(2);
    return text.replace("-", "−");
  };
  // Under photographs side by side one quantity has one number of digits: 0.700 beside 0.713.
  const measured = (value) => {
    const text = Math.abs(value) >= 1e-4 && Math.abs(value) < 1000 ? value.toPrecision(3) : "e";
    return text.includes("e") ? digits(value) : text.replace("-", "−");
  };
  const percent = (value) => (value === null || value === undefined ? "–"
    : value > 99.5 && value < 100 ? "> 99" : value < 0.5 && value > 0 ? "< 1" : value.toFixed(0));

  // What was loaded, by name; and who waits for it.
  const loaded = new Map();
  const waiting = new Map();
  const put = (name, content) => {
    loaded.set(name, content);
    if (waiting.has(name)) waiting.get(name)(content);
  };
  let meta;
  const promises = new Map();
  const load = (name) => {
    if (!promises.has(name)) {
      promises.set(name, loaded.has(name) ? Promise.resolve(loaded.get(name)) : new Promise((resolve, reject) => {
        waiting.set(name, resolve);
        const address = `${meta.folder}/${name}.js`;
        const failed = () => reject(new Error(`${address} is missing: keep the folder ${meta.folder} beside this page.`));
        document.head.append(make("script", { src: address, onerror: failed }));
      }));
    }
    return promises.get(name);
  };

  const state = { picture: "", sort: "", descending: true, x: "", y: "", colour: "group", brush: null, focus: -1 };
  let collection; // the data set that is shown: its description, and what was loaded of it
  let images; // its ids and columns
  let networks = []; // loaded networks that are shown
  let views = []; // [network, position] of what the filters leave, before the brush
  let shown = []; // the same after the brush, sorted
  let opened = -1; // place in `shown` of the image that is looked at
  let turn = 0; // counts changes of what is shown, so that what loads late is dropped

  const signalOf = (key) => collection.signals.find((signal) => signal.key === key);
  const formatted = (key, value) => (signalOf(key)?.percentile ? percent(value) : measured(value));
  const valueOf = ([network, place], key) => network.signals[key]?.[place] ?? null;
  const imageOf = ([network, place]) => network.rows[place];
  const columnOf = (image, key) => {
    const column = images.columns[key];
    return column ? column.values[column.codes[image]] : "";
  };
  const isUnusual = (view) => valueOf(view, meta.verdict.signal) >= meta.verdict.from;

  // --- pictures -----------------------------------------------------------------------------------------------------
  const sheetAddress = (name) => loaded.get("sheets")?.[name] ?? `${meta.folder}/${name}.webp`;
  const tile = (node, kind, view) => {
    const ofImage = kind in images.sheets;
    const [network, place] = view;
    const where = ofImage ? imageOf(view) : network.tiles ? network.tiles.indexOf(place) : place;
    const stem = ofImage ? images.sheets[kind] : network.sheets[kind];
    node.classList.toggle("none", stem === undefined || where < 0);
    if (stem === undefined || where < 0) {
      node.style.backgroundImage = "";
      return;
    }
    const { across } = meta.sheet;
    const total = ofImage ? images.ids.length : (network.tiles ?? network.rows).length;
    const sheet = Math.floor(where / (across * across));
    const within = where % (across * across);
    const down = Math.ceil(Math.min(across * across, total - sheet * across * across) / across);
    node.style.backgroundImage = `url("${sheetAddress(`${stem}-${sheet}`)}")`;
    node.style.backgroundSize = `${across * 100}% ${down * 100}%`;
    const [x, y] = [within % across, Math.floor(within / across)];
    node.style.backgroundPosition = `${(100 * x) / (across - 1)}% ${down > 1 ? (100 * y) / (down - 1) : 0}%`;
  };
  const kinds = () => [...Object.keys(images.sheets), ...collection.pictures];
  const figureOf = (kind, view) => {
    const picture = make("span", { class: "tile", role: "img", "aria-label": meta.kinds[kind] });
    tile(picture, kind, view);
    const bright = view[0].brightest?.[kind]?.[view[1]];
    const words = bright === undefined || bright === null ? meta.kinds[kind] : `${meta.kinds[kind]}, to ${digits(bright)}`;
    return make("figure", {}, picture, make("figcaption", { text: picture.classList.contains("none")
      ? `${meta.kinds[kind]}: not on this page` : words }));
  };

  // --- choosing -----------------------------------------------------------------------------------------------------
  const fill = (select, options, chosen) => {
    select.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
    select.value = chosen;
    select.closest("label").hidden = options.length < 2;
  };
  const checked = (name) => [...document.querySelectorAll(`input[name="${name}"]`)].filter((box) => box.checked);
  const chips = (holder, name, values, label) => {
    byId(holder).replaceChildren(...values.map((value) => make("label", { class: "chip" },
      make("input", { type: "checkbox", name, value, checked: "" }), make("span", { text: label(value) }))));
    byId(holder).closest("fieldset").hidden = values.length < 2;
  };

  const setCollection = async (name, configuration, seed) => {
    const mine = ++turn;
    const next = meta.collections.find((c) => c.name === name) ?? meta.collections[0];
    const content = await load(`${next.name}/images`);
    if (mine !== turn) return;
    collection = next;
    images = content;
    byId("collection").value = collection.name;
    byId("about").textContent = collection.about;
    const configurations = [...new Set(collection.networks.map((n) => n.configuration))];
    const wanted = configurations.includes(configuration) ? configuration : collection.first;
    fill(byId("configuration"), configurations.map((c) => [c, meta.mixes[c] ? `${c}: ${meta.mixes[c]}` : c]), wanted);
    const seeds = [...new Set(collection.networks.map((n) => n.seed))];
    // With a single one there is no choice of all: the page of new photographs has their mean over the seeds alone.
    const of = collection.all_seeds && seeds.length > 1 ? "all" : seeds[0];
    fill(byId("seed"), [...(seeds.length > 1 ? [["all", "all"]] : []), ...seeds.map((s) => [s, s])],
      seed !== undefined && seeds.includes(seed) ? seed : of);
    const signals = collection.signals.map((s) => [s.key, s.label]);
    for (const [id, key] of [["sort", "sort"], ["x", "x"], ["y", "y"]]) {
      if (!signalOf(state[key])) state[key] = (signalOf(meta.start[key]) ?? collection.signals[0]).key;
      fill(byId(id), signals, state[key]);
    }
    if (!kinds().includes(state.picture)) state.picture = kinds()[0];
    fill(byId("picture"), kinds().map((kind) => [kind, meta.kinds[kind]]), state.picture);
    chips("groups", "group", images.columns.group?.values ?? [], (value) => value || "in no group");
    chips("types", "fst", images.columns.fst?.values ?? [], (value) => value);
    const labels = Object.keys(images.columns).filter((key) => !["group", "fst"].includes(key));
    fill(byId("label"), [["", "any"], ...labels.map((key) => [key, images.columns[key].label])], "");
    setLabel();
    fill(byId("colour"), [["group", "group"], ["fst", "skin type"], ["seed", "seed"], ["verdict", "verdict"]]
      .filter(([key]) => !(key in { group: 1, fst: 1 }) || images.columns[key]), images.columns.group ? "group" : "verdict");
    state.colour = byId("colour").value;
    byId("search").value = "";
    byId("verdict").value = "";
    state.brush = null;
    await setNetworks();
  };
  const setLabel = () => {
    const column = images.columns[byId("label").value];
    byId("value").closest("label").hidden = !column;
    if (column) fill(byId("value"), column.values.map((value, code) => [String(code), value || "not known"]), "0");
    byId("value").closest("label").hidden = !column;
  };
  const setNetworks = async () => {
    const mine = ++turn;
    const [configuration, seed] = [byId("configuration").value, byId("seed").value];
    const wanted = collection.networks.filter((n) => n.configuration === configuration && (seed === "all" || n.seed === seed));
    const contents = await Promise.all(wanted.map((n) => load(n.name)));
    if (mine !== turn) return;
    networks = contents;
    filter();
  };
  const filter = () => {
    const groups = new Set(checked("group").map((box) => box.value));
    const types = new Set(checked("fst").map((box) => box.value));
    const inGroup = images.columns.group?.values.map((value) => groups.has(value));
    const inType = images.columns.fst?.values.map((value) => types.has(value));
    const label = images.columns[byId("label").value];
    const code = Number(byId("value").value);
    const verdict = byId("verdict").value;
    const text = byId("search").value.trim().toLowerCase();
    views = [];
    for (const network of networks) {
      network.rows.forEach((image, place) => {
        if (inGroup && !inGroup[images.columns.group.codes[image]]) return;
        if (inType && !inType[images.columns.fst.codes[image]]) return;
        if (label && label.codes[image] !== code) return;
        if (verdict && isUnusual([network, place]) !== (verdict === "unusual")) return;
        if (text && !images.ids[image].toLowerCase().includes(text)) return;
        views.push([network, place]);
      });
    }
    scatter.fit();
    brushed();
  };
  const brushed = () => {
    const { brush, x, y, sort } = state;
    const inside = (view, key, [low, high]) => {
      const value = valueOf(view, key);
      return value !== null && value >= low && value <= high;
    };
    shown = brush ? views.filter((view) => inside(view, x, brush.x) && inside(view, y, brush.y)) : views.slice();
    const sign = state.descending ? -1 : 1;
    const keyed = shown.map((view) => [valueOf(view, sort), view]);
    // What has no value comes last, either way.
    keyed.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : sign * (a - b)));
    shown = keyed.map(([, view]) => view);
    state.focus = -1;
    const total = networks.reduce((sum, network) => sum + network.rows.length, 0);
    const several = networks.length > 1 ? ", each image once for every seed that tested it" : "";
    byId("count").textContent = `${shown.length.toLocaleString("en")} of ${total.toLocaleString("en")} images${several}`;
    byId("unbrush").hidden = !brush;
    grid.draw(true);
    scatter.draw();
  };

  // --- thumbnails: only those in sight are in the page ----------------------------------------------------------------
  const grid = (() => {
    const box = () => byId("grid");
    let across = 1;
    let tall = 1;
    let wide = 1;
    let cells = new Map();
    const draw = (anew) => {
      if (!collection) return;
      const width = box().clientWidth;
      across = Math.max(2, Math.floor(width / 118));
      wide = width / across;
      tall = wide + 36;
      box().style.height = `${Math.ceil(shown.length / across) * tall}px`;
      if (anew) {
        box().replaceChildren();
        cells = new Map();
      }
      const top = -box().getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(top / tall - 1)) * across;
      const last = Math.min(shown.length, (Math.ceil((top + innerHeight) / tall) + 1) * across);
      for (const [place, cell] of cells) {
        if (place < first || place >= last) {
          cell.remove();
          cells.delete(place);
        }
      }
      for (let place = first; place < last; place++) if (!cells.has(place)) cells.set(place, cellOf(place));
    };
    const cellOf = (place) => {
      const view = shown[place];
      const picture = make("span", { class: "tile" });
      tile(picture, state.picture, view);
      const fst = columnOf(imageOf(view), "fst");
      const value = formatted(state.sort, valueOf(view, state.sort));
      const id = images.ids[imageOf(view)];
      const cell = make("button", { class: "cell", type: "button", "data-place": place,
        "aria-label": `${id}, ${signalOf(state.sort).label} ${value}`, tabindex: place === Math.max(0, state.focus) ? 0 : -1 },
      picture, make("span", { class: "value", text: value }), make("span", { class: "which", text: fst && fst !== "not known" ? `${meta.scale} ${fst}` : id }));
      if (isUnusual(view)) cell.classList.add("unusual");
      cell.style.left = `${(place % across) * wide}px`;
      cell.style.top = `${Math.floor(place / across) * tall}px`;
      cell.style.width = `${wide - 6}px`;
      cell.style.height = `${tall - 6}px`;
      box().append(cell);
      return cell;
    };
    const focus = (place) => {
      if (!shown.length) return;
      const next = Math.min(shown.length - 1, Math.max(0, place));
      const before = cells.get(state.focus);
      if (before) before.tabIndex = -1;
      state.focus = next;
      const head = box().getBoundingClientRect().top + scrollY + Math.floor(next / across) * tall;
      if (head < scrollY) scrollTo(0, head - 8);
      else if (head + tall > scrollY + innerHeight) scrollTo(0, head + tall - innerHeight + 8);
      draw(false);
      const cell = cells.get(next);
      if (cell) {
        cell.tabIndex = 0;
        cell.focus({ preventScroll: true });
      }
    };
    const keyed = (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const from = Number(event.target.closest(".cell")?.dataset.place ?? 0);
      focus(from + steps[event.key]);
    };
    return { draw, focus, keyed, placeOf: (node) => Number(node.closest(".cell").dataset.place) };
  })();

  // --- preview on hover -----------------------------------------------------------------------------------------------
  const factsOf = (view) => {
    const image = imageOf(view);
    const columns = Object.entries(images.columns).map(([key, column]) => [column.label, columnOf(image, key)]);
    return columns.filter(([, value]) => value !== "" && value !== undefined);
  };
  const preview = {
    show(view, node) {
      const card = byId("preview");
      card.replaceChildren(
        make("strong", { text: images.ids[imageOf(view)] }),
        make("div", { class: "row" }, ...kinds().map((kind) => figureOf(kind, view))),
        make("p", { text: `Configuration ${view[0].configuration}, seed ${view[0].seed}. ${collection.signals.slice(0, 4)
          .map((s) => `${s.label} ${formatted(s.key, valueOf(view, s.key))}`).join(" · ")}` }));
      card.hidden = false;
      const [at, own] = [node.getBoundingClientRect(), card.getBoundingClientRect()];
      const right = at.right + 8 + own.width < innerWidth;
      card.style.left = `${Math.max(4, right ? at.right + 8 : at.left - own.width - 8)}px`;
      card.style.top = `${Math.max(4, Math.min(at.top, innerHeight - own.height - 4))}px`;
    },
    hide() { byId("preview").hidden = true; },
  };

  // --- scatter --------------------------------------------------------------------------------------------------------
  const scatter = (() => {
    const margin = { left: 72, right: 12, top: 10, bottom: 42 };
    let axes = null;
    let drag = null;
    let hovered = null;
    const axis = (key, pixels) => {
      const values = views.map((view) => valueOf(view, key)).filter((value) => value !== null);
      let [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
      if (!values.length) [low, high] = [0, 1];
      const log = low > 0 && high / low > 8 && !signalOf(key).percentile;
      const to = log ? Math.log10 : (v) => v;
      let [a, b] = [to(low), to(high)];
      const pad = (b - a || Math.abs(a) || 1) * 0.04;
      [a, b] = [a - pad, b + pad];
      const [from, until] = pixels;
      return {
        log,
        at: (v) => from + ((to(v) - a) / (b - a)) * (until - from),
        value: (p) => { const t = a + ((p - from) / (until - from)) * (b - a); return log ? 10 ** t : t; },
        ticks: ticksOf(a, b, log),
      };
    };
    const ticksOf = (a, b, log) => {
      if (log) {
        const found = [];
        for (let power = Math.floor(a); power <= Math.ceil(b); power++) {
          for (const factor of b - a < 1.3 ? [1, 2, 5] : b - a < 3 ? [1, 3] : [1]) {
            const place = power + Math.log10(factor);
            if (place >= a && place <= b) found.push(factor * 10 ** power);
          }
        }
        return found;
      }
      const rough = (b - a) / 4;
      const base = 10 ** Math.floor(Math.log10(rough));
      const step = base * ([1, 2, 5].find((factor) => factor * base >= rough) ?? 10);
      const found = [];
      for (let value = Math.ceil(a / step) * step; value <= b; value += step) found.push(Math.abs(value) < step / 1e6 ? 0 : value);
      return found;
    };
    const colours = (view) => {
      if (state.colour === "verdict") return isUnusual(view) ? "#d55e00" : "#6b7480";
      if (state.colour === "seed") {
        const seeds = collection.networks.map((n) => n.seed);
        return meta.palette[[...new Set(seeds)].indexOf(view[0].seed) % meta.palette.length];
      }
      return meta.colours[state.colour]?.[columnOf(imageOf(view), state.colour)] ?? "#9aa3ab";
    };
    const key = () => {
      const entries = state.colour === "verdict" ? [["unusual", "#d55e00"], ["not unusual", "#6b7480"]]
        : state.colour === "seed" ? networks.map((n) => [`seed ${n.seed}`, colours([n, 0])])
          : (images.columns[state.colour]?.values ?? []).map((v) => [v || "in no group", meta.colours[state.colour]?.[v] ?? "#9aa3ab"]);
      byId("key").replaceChildren(...entries.map(([text, colour]) => {
        const dot = make("i");
        dot.style.background = colour;
        return make("span", {}, dot, document.createTextNode(text));
      }));
    };
    const fit = () => {
      const canvas = byId("scatter");
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      axes = { x: axis(state.x, [margin.left, width - margin.right]), y: axis(state.y, [height - margin.bottom, margin.top]) };
    };
    const draw = () => {
      if (!collection) return;
      const canvas = byId("scatter");
      const ratio = devicePixelRatio || 1;
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      fit();
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      pen.font = "11px system-ui, sans-serif";
      pen.strokeStyle = "#e4e7ea";
      pen.fillStyle = "#3f4a53";
      pen.textAlign = "center";
      for (const value of axes.x.ticks) {
        const at = axes.x.at(value);
        pen.beginPath(); pen.moveTo(at, margin.top); pen.lineTo(at, height - margin.bottom); pen.stroke();
        pen.fillText(digits(value), at, height - margin.bottom + 14);
      }
      pen.textAlign = "right";
      for (const value of axes.y.ticks) {
        const at = axes.y.at(value);
        pen.beginPath(); pen.moveTo(margin.left, at); pen.lineTo(width - margin.right, at); pen.stroke();
        pen.fillText(digits(value), margin.left - 6, at + 4);
      }
      pen.textAlign = "center";
      const title = (name, log) => signalOf(name).label + (log ? " (log scale)" : "");
      pen.fillText(title(state.x, axes.x.log), (margin.left + width - margin.right) / 2, height - 8);
      pen.save();
      pen.translate(12, (margin.top + height - margin.bottom) / 2);
      pen.rotate(-Math.PI / 2);
      pen.fillText(title(state.y, axes.y.log), 0, 0);
      pen.restore();
      const radius = views.length > 4000 ? 1.7 : views.length > 800 ? 2.3 : 3.2;
      const inside = state.brush ? new Set(shown) : null;
      for (const view of views) {
        const [x, y] = [valueOf(view, state.x), valueOf(view, state.y)];
        if (x === null || y === null) continue;
        pen.globalAlpha = inside && !inside.has(view) ? 0.12 : 0.75;
        pen.fillStyle = colours(view);
        pen.beginPath(); pen.arc(axes.x.at(x), axes.y.at(y), radius, 0, 7); pen.fill();
      }
      pen.globalAlpha = 1;
      if (hovered) {
        pen.strokeStyle = "#1f2428";
        pen.lineWidth = 2;
        pen.beginPath();
        pen.arc(axes.x.at(valueOf(hovered, state.x)), axes.y.at(valueOf(hovered, state.y)), radius + 3, 0, 7);
        pen.stroke();
      }
      const box = drag?.moved ? drag : state.brush && { x0: axes.x.at(state.brush.x[0]), x1: axes.x.at(state.brush.x[1]),
        y0: axes.y.at(state.brush.y[0]), y1: axes.y.at(state.brush.y[1]) };
      if (box) {
        pen.strokeStyle = "#0b5c94";
        pen.lineWidth = 1;
        pen.strokeRect(box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0);
      }
      key();
    };
    const nearest = (x, y) => {
      let [best, distance] = [null, 14 ** 2];
      for (const view of views) {
        const [vx, vy] = [valueOf(view, state.x), valueOf(view, state.y)];
        if (vx === null || vy === null) continue;
        const away = (axes.x.at(vx) - x) ** 2 + (axes.y.at(vy) - y) ** 2;
        if (away < distance) [best, distance] = [view, away];
      }
      return best;
    };
    const listen = () => {
      const canvas = byId("scatter");
      const place = (event) => {
        const at = canvas.getBoundingClientRect();
        return [event.clientX - at.left, event.clientY - at.top];
      };
      canvas.addEventListener("pointerdown", (event) => {
        const [x, y] = place(event);
        drag = { x0: x, y0: y, x1: x, y1: y, moved: false };
        // A finger scrolls the page and taps; a mouse or pen draws a box.
        if (event.pointerType !== "touch") canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", (event) => {
        const [x, y] = place(event);
        if (drag && event.pointerType !== "touch") {
          [drag.x1, drag.y1] = [x, y];
          drag.moved ||= Math.hypot(x - drag.x0, y - drag.y0) > 5;
          preview.hide();
        } else if (event.pointerType !== "touch") {
          hovered = nearest(x, y);
          if (hovered) preview.show(hovered, { getBoundingClientRect: () => ({ left: event.clientX - 8, right: event.clientX + 8, top: event.clientY + 12 }) });
          else preview.hide();
        }
        draw();
      });
      canvas.addEventListener("pointerup", (event) => {
        const [x, y] = place(event);
        const done = drag;
        drag = null;
        if (!done) return;
        if (done.moved) {
          const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
          state.brush = { x: sorted(axes.x.value(done.x0), axes.x.value(done.x1)), y: sorted(axes.y.value(done.y0), axes.y.value(done.y1)) };
          brushed();
          return;
        }
        const view = nearest(x, y);
        if (view) {
          preview.hide();
          detail.open(shown.indexOf(view), view);
        } else if (state.brush) {
          state.brush = null;
          brushed();
        }
      });
      canvas.addEventListener("pointercancel", () => { drag = null; });
      canvas.addEventListener("pointerleave", () => { hovered = null; preview.hide(); if (!drag) draw(); });
    };
    return { draw, fit, listen, nearest, points: () => views.map((v) => [axes.x.at(valueOf(v, state.x)), axes.y.at(valueOf(v, state.y))]) };
  })();

  // --- one image under every configuration ------------------------------------------------------------------------------
  const hashOf = (view) => `#${[collection.name, view[0].configuration, view[0].seed, images.ids[imageOf(view)]]
    .map(encodeURIComponent).join("/")}`;
  const setHash = (hash) => {
    try { history.replaceState(null, "", hash || "#"); } catch { location.hash = hash; }
  };
  const detail = {
    async open(place, view = shown[place]) {
      if (!view) return;
      opened = place;
      const image = imageOf(view);
      const [network] = view;
      const address = hashOf(view);
      setHash(address);
      byId("name").textContent = images.ids[image];
      byId("facts").textContent = factsOf(view).map(([name, value]) => `${name}: ${value}`).join(" · ");
      byId("link").href = address;
      const dialog = byId("detail");
      if (!dialog.open) dialog.showModal();
      const wanted = collection.networks.filter((n) => n.seed === network.seed);
      const contents = await Promise.all(wanted.map((n) => load(n.name)));
      if (byId("link").getAttribute("href") !== address) return;
      const sides = contents.map((n) => [n, n.rows.indexOf(image)]).filter(([, at]) => at >= 0);
      byId("photograph").replaceChildren(...Object.keys(images.sheets).map((kind) => figureOf(kind, view)));
      byId("sides").replaceChildren(...sides.map((side) => {
        const [of] = side;
        const row = make("section", { class: of === network ? "side chosen" : "side" },
          make("h3", { text: `Configuration ${of.configuration}, seed ${of.seed}` }),
          make("div", { class: "row" }, ...collection.pictures.map((kind) => figureOf(kind, side))));
        const table = make("dl");
        for (const signal of collection.signals) {
          const value = valueOf(side, signal.key);
          if (value === null) continue;
          const error = of.signals[`${signal.key}_sem`]?.[side[1]];
          const words = formatted(signal.key, value) + (error === undefined || error === null ? "" : ` ± ${digits(error)}`);
          table.append(make("div", {}, make("dt", { text: signal.label }), make("dd", { text: words })));
        }
        row.append(table);
        if (isUnusual(side)) row.querySelector("h3").append(make("span", { class: "mark", text: "unusual" }));
        return row;
      }));
    },
    step(by) {
      const next = opened + by;
      if (opened >= 0 && next >= 0 && next < shown.length) this.open(next);
    },
  };
  const follow = async () => {
    const parts = location.hash.slice(1).split("/").map(decodeURIComponent);
    if (parts.length < 4) return;
    const [name, configuration, seed] = parts;
    const id = parts.slice(3).join("/");
    if (!meta.collections.some((c) => c.name === name)) return;
    await setCollection(name, configuration, seed);
    const place = shown.findIndex((view) => images.ids[imageOf(view)] === id);
    if (place >= 0) detail.open(place);
    else fail(new Error(`There is no image ${id} of seed ${seed} in ${name}.`));
  };
  const fail = (error) => {
    byId("failure").textContent = error.message;
    byId("failure").hidden = false;
  };

  // --- what is listened to ------------------------------------------------------------------------------------------------
  const listen = () => {
    const on = (id, kind, act) => byId(id).addEventListener(kind, act);
    on("collection", "change", (event) => setCollection(event.target.value).catch(fail));
    on("configuration", "change", () => setNetworks().catch(fail));
    on("seed", "change", () => setNetworks().catch(fail));
    on("label", "change", () => { setLabel(); filter(); });
    for (const id of ["value", "verdict", "groups", "types"]) on(id, "change", filter);
    on("search", "input", filter);
    for (const id of ["x", "y"]) on(id, "change", (event) => { state[id] = event.target.value; state.brush = null; brushed(); });
    on("colour", "change", (event) => { state.colour = event.target.value; scatter.draw(); });
    on("sort", "change", (event) => { state.sort = event.target.value; brushed(); });
    on("order", "click", () => {
      state.descending = !state.descending;
      byId("order").textContent = state.descending ? "highest first" : "lowest first";
      brushed();
    });
    on("picture", "change", (event) => { state.picture = event.target.value; grid.draw(true); });
    on("unbrush", "click", () => { state.brush = null; brushed(); });
    on("reset", "click", () => setCollection(collection.name, byId("configuration").value).catch(fail));
    const box = byId("grid");
    box.addEventListener("click", (event) => { if (event.target.closest(".cell")) { preview.hide(); detail.open(grid.placeOf(event.target)); } });
    box.addEventListener("keydown", grid.keyed);
    box.addEventListener("focusin", (event) => { if (event.target.closest(".cell")) state.focus = grid.placeOf(event.target); });
    box.addEventListener("pointerover", (event) => {
      const cell = event.target.closest(".cell");
      if (cell && event.pointerType !== "touch" && matchMedia("(min-width: 700px)").matches) preview.show(shown[grid.placeOf(cell)], cell);
    });
    box.addEventListener("pointerleave", preview.hide);
    on("close", "click", () => byId("detail").close());
    on("before", "click", () => detail.step(-1));
    on("after", "click", () => detail.step(1));
    on("detail", "close", () => { setHash(""); if (opened >= 0) grid.focus(opened); });
    on("detail", "click", (event) => { if (event.target === byId("detail")) byId("detail").close(); });
    document.addEventListener("keydown", (event) => {
      if (byId("detail").open) {
        if (event.key === "ArrowRight") detail.step(1);
        if (event.key === "ArrowLeft") detail.step(-1);
        return;
      }
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
      if (event.key === "/") { event.preventDefault(); byId("search").focus(); }
      if (event.key === "g") grid.focus(Math.max(0, state.focus));
      if (/^[1-9]$/.test(event.key) && kinds()[event.key - 1]) {
        state.picture = kinds()[event.key - 1];
        byId("picture").value = state.picture;
        grid.draw(true);
      }
    });
    let due = false;
    const soon = () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => { due = false; grid.draw(false); });
    };
    addEventListener("scroll", () => { preview.hide(); soon(); }, { passive: true });
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; grid.draw(true); scatter.draw(); } else soon(); });
    addEventListener("hashchange", () => follow().catch(fail));
    scatter.listen();
  };
  const start = () => {
    meta = JSON.parse(byId("explorer-data").textContent);
    fill(byId("collection"), meta.collections.map((c) => [c.name, c.title]), meta.collections[0].name);
    Object.assign(state, meta.start);
    if (innerWidth < 900) document.querySelector("#controls details").open = false;
    listen();
    const linked = location.hash.split("/").length > 3 ? follow() : setCollection(meta.collections[0].name);
    linked.then(() => document.body.classList.add("ready")).catch(fail);
  };
  return { put, start, state, scatter, shown: () => shown };
})();
