// @ts-check
// Live cells: the code of a page can be run and changed where it stands. This script only puts the
// buttons there. Python (Pyodide, in a Web Worker) comes at the first press of Run, the editor
// (CodeMirror) at the first press of Edit; until then the page asks for nothing.
//
// A page is run from top to bottom: before a cell, those above it run that have not been run yet,
// or not since they, or one above them, were changed (see also live_runner.py).

/**
 * @typedef {{id: string, source: string}} Source A cell as the book has it, on the page or not.
 * @typedef {{kind: string, text: string}} Message What the worker tells.
 */

const meta = (/** @type {string} */ name) =>
  /** @type {HTMLMetaElement | null} */ (document.querySelector(`meta[name="${name}"]`));

/** Address of a file that a <meta> names. @param {string} name */
const address = (name) => new URL(meta(name)?.content ?? "", document.baseURI).href;

/** Address of a file beside this one, of the same version. @param {string} name */
const beside = (name) =>
  new URL(`${name}?v=${meta("live-cells")?.dataset.version}`, import.meta.url).href;

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {...(Node | string)} content
 */
function make(tag, className, ...content) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...content);
  return element;
}

/** @param {string} icon @param {string} label @param {() => void} act */
function button(icon, label, act) {
  const made = make("button", `live-button live-${icon}`, label);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/** What a screen reader is told. It stands there empty from the start, or it would not be heard. */
const voice = make("div", "live-voice");
voice.setAttribute("role", "status");

/** @param {string} text */
const say = (text) => {
  if (voice.textContent !== text) voice.textContent = text;
};

// ---- Python ----

class Stopped extends Error {}

/** A Python process. It does one thing at a time. */
class Python {
  constructor() {
    this.worker = new Worker(beside("live-worker.js"), { type: "module" });
    this.started = false;
    /** @type {(message: Message) => void} */
    this.listener = () => {};
    this.ready = this.#ask("ready", {
      kind: "start",
      pyodide: address("pyodide"),
      wheel: address("mixedsmooth-wheel"),
      runner: beside("live_runner.py"),
      bytecode: beside("live_bytecode.py"),
    });
    this.ready.then(
      () => (this.started = true),
      () => {}, // told where it is awaited
    );
  }

  /**
   * @param {{cell: string, code: string, above: string}} what
   * @param {(message: Message) => void} listener Gets what the cell shows, as it comes.
   * @returns {Promise<boolean>} Whether it ended without an error.
   */
  async run(what, listener) {
    this.listener = listener;
    return (await this.#ask("done", { kind: "run", ...what })) === "right";
  }

  stop() {
    this.worker.terminate();
    this.reject?.(new Stopped());
  }

  /** @param {string} end The message that ends it. @param {object} what @returns {Promise<string>} */
  #ask(end, what) {
    return new Promise((resolve, reject) => {
      this.reject = reject;
      this.worker.onerror = (event) => reject(new Error(event.message ?? "the worker did not start"));
      this.worker.onmessage = ({ data }) => {
        if (data.kind === end) resolve(data.text);
        else if (data.kind === "failed") reject(new Error(data.text));
        else this.listener(data);
      };
      this.worker.postMessage(what);
    });
  }
}

// ---- cells ----

/** A cell as it stands now. */
class Cell {
  /** @param {Source} source */
  constructor({ id, source }) {
    this.id = id;
    this.source = source;
    this.code = source;
    /** @type {{code: string, turn: number} | null} What was run last, and when. */
    this.past = null;
    /** @type {View | null} A cell that the page does not show has none. */
    this.view = null;
  }

  get edited() {
    return this.code !== this.source;
  }
}

/** What is seen of a cell. */
class View {
  /** @param {Cell} cell @param {HTMLElement} box @param {HTMLElement} input */
  constructor(cell, box, input) {
    this.cell = cell;
    this.box = box;
    this.pre = /** @type {HTMLElement} */ (input.querySelector("pre"));
    this.printed = this.pre.innerHTML;
    this.alts = [...box.querySelectorAll("img")].map((image) => image.alt);
    /** @type {{remove: () => void} | null} */
    this.editor = null;
    /** @type {Result | null} */
    this.result = null;

    this.runButton = button("run", "Run", () => run(cell));
    this.editButton = button("edit", "Edit", () => this.edit());
    this.resetButton = button("reset", "Reset", () => this.reset());
    this.resetButton.title = "Bring back the book’s code and output";
    this.resetButton.hidden = true;
    const hint = make("span", "live-hint", "Shift+Enter runs; Esc, then Tab, leaves");
    input.append(make("div", "live-bar", this.runButton, this.editButton, this.resetButton, hint));

    this.words = make("span", "");
    this.status = make("div", "live-status");
    this.status.hidden = true;
    (input.closest("details") ?? input).after(this.status);

    this.pre.addEventListener("click", (event) => {
      if (this.result && getSelection()?.isCollapsed) this.edit({ x: event.clientX, y: event.clientY });
    });
  }

  // the code

  /** @param {{x: number, y: number}} [at] Where the cursor is to stand, in the window. */
  async edit(at) {
    const { openEditor } = await import(beside("live-editor.js")).catch(() => {
      this.failed("The editor could not be loaded. Are you online?", () => this.edit(at));
      return {};
    });
    if (!openEditor || this.editor) return;
    this.editor = openEditor({
      pre: this.pre,
      code: this.cell.code,
      changed: (/** @type {string} */ code) => {
        this.cell.code = code;
        this.pre.textContent = `${code}\n`; // hidden, but the copy button copies from it
        this.settle();
      },
      run: () => run(this.cell),
      at,
    });
    this.settle();
  }

  reset() {
    this.editor?.remove();
    this.editor = null;
    this.cell.code = this.cell.source;
    this.pre.innerHTML = this.printed;
    this.result?.remove();
    this.result = null;
    this.tell("");
    this.settle();
    this.runButton.focus();
    say("The book’s code and output are back.");
  }

  /** Show the buttons that have something to do. */
  settle() {
    this.editButton.hidden = this.editor !== null;
    this.resetButton.hidden = !(this.cell.edited || this.editor || this.result);
    this.box.classList.toggle("live-touched", !this.resetButton.hidden);
  }

  // the status

  /** Say what is going on. @param {string} text @param {() => void} stop */
  busy(text, stop) {
    if (this.box.ariaBusy !== "true") {
      this.box.ariaBusy = "true";
      this.runButton.setAttribute("aria-disabled", "true");
      this.#line("busy", make("span", "live-spinner"), this.words, button("stop", "Stop", stop));
    }
    this.words.textContent = text;
    say(text.replace(/:.*/, "")); // without the megabytes
  }

  /** Say what has been done. @param {string} text @param {...Node} more */
  tell(text, ...more) {
    const focused = this.status.contains(document.activeElement);
    this.box.ariaBusy = null;
    this.runButton.removeAttribute("aria-disabled");
    this.words.textContent = text;
    this.#line("told", ...(text ? [this.words, ...more] : []));
    if (text) say(text);
    if (focused) this.runButton.focus();
  }

  /** @param {string} text @param {() => void} again */
  failed(text, again) {
    this.tell(text, button("run", "Try again", again));
    this.status.dataset.state = "failed";
  }

  /** @param {string} state @param {...Node} content */
  #line(state, ...content) {
    this.status.dataset.state = state;
    this.status.replaceChildren(...content);
    this.status.hidden = content.length === 0;
  }

  // the result

  /** Put a result in the place of what stands there. @param {Result} result */
  put(result) {
    if (this.result === result) return;
    this.result?.remove();
    this.result = result;
    result.insert();
    this.settle();
  }

  /** Say that the result is the reader's. @param {string} text */
  sign(text) {
    const way = button("swap", "Show the book’s output", () => {
      const books = this.result?.toggle();
      way.textContent = books ? "Show your output" : "Show the book’s output";
    });
    this.tell(text, way);
  }
}

/** What a run shows. */
class Result {
  /** @param {View} view @param {boolean} changed Whether the code is no longer the book's. */
  constructor(view, changed) {
    this.box = view.box;
    this.alts = view.alts.map((alt) => (changed ? `Drawn by changed code. In the book: ${alt}` : alt));
    this.element = make("div", "live-result");
  }

  /** @param {Message} message */
  add({ kind, text }) {
    if (kind === "html") this.element.append(this.#html(text));
    else if (kind === "svg") this.element.append(this.#picture(text));
    else this.#print(kind, text);
  }

  /** Add to the last text, when it is of the same kind. @param {string} kind @param {string} text */
  #print(kind, text) {
    const last = this.element.lastElementChild;
    if (last?.classList.contains(`live-${kind}`) && kind.startsWith("std")) {
      last.querySelector("pre")?.append(text);
      return;
    }
    const pre = make("pre", "", text);
    pre.tabIndex = 0; // it may scroll
    this.element.append(
      make("div", `output ${CLASSES[kind]} live-${kind}`, make("div", "highlight", pre)),
    );
  }

  /** @param {string} html What the reader's own code made: its scripts run, as in a notebook. */
  #html(html) {
    const output = make("div", "output text_html");
    output.innerHTML = html;
    for (const script of output.querySelectorAll("script")) {
      const runs = document.createElement("script");
      runs.text = script.text;
      script.replaceWith(runs);
    }
    return output;
  }

  /** @param {string} svg */
  #picture(svg) {
    const picture = new Image();
    const [, width, height] = svg.match(/viewBox="0 0 ([\d.]+) ([\d.]+)"/) ?? [];
    if (height) [picture.width, picture.height] = [+width * POINT, +height * POINT];
    picture.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    picture.alt = this.alts.shift() ?? "A figure drawn by your code";
    return picture;
  }

  /** Wait until the pictures can be shown without a flicker. */
  async drawn() {
    await Promise.allSettled([...this.element.querySelectorAll("img")].map((image) => image.decode()));
  }

  /** Stand where the book's output stands. A figure keeps its number and its caption. */
  insert() {
    let output = this.box.querySelector(".cell_output");
    if (!output) {
      output = make("div", "cell_output");
      this.box.append(output);
    }
    (output.querySelector("figure") ?? output).prepend(this.element);
    this.box.classList.add("live-ran");
    const hidden = output.closest("details");
    if (hidden) hidden.open = true;
  }

  /** Change between this result and the book's. @returns {boolean} Whether it is the book's now. */
  toggle() {
    this.element.hidden = this.box.classList.contains("live-ran");
    this.box.classList.toggle("live-ran", !this.element.hidden);
    return this.element.hidden;
  }

  remove() {
    for (const image of this.element.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.element.remove();
    this.box.classList.remove("live-ran");
  }
}

/** @type {Record<string, string>} The classes that the book gives to text of each kind. */
const CLASSES = { stdout: "stream", stderr: "stderr", text: "text_plain", error: "traceback" };
const POINT = 4 / 3; // CSS pixels

// ---- the page ----

/** @type {Map<string, Cell>} The cells that the page shows, by id. */
const shown = new Map();
/** @type {Cell[]} All cells, in their order; none before the first press. */
let cells = [];
/** @type {Python | null} */
let python = null;
let queue = Promise.resolve();
let round = 0; // Stop begins a new one
let turn = 0;

/** Run a cell when those have ended that were asked for before. @param {Cell} cell */
function run(cell) {
  const view = /** @type {View} */ (cell.view);
  if (view.box.ariaBusy === "true") return;
  const mine = round;
  view.busy("Waiting for another cell", stop);
  queue = queue.then(async () => {
    try {
      if (mine === round) await perform(cell, view, mine);
      else throw new Stopped();
    } catch (error) {
      if (error instanceof Stopped) {
        view.tell("Stopped. The next run begins with the cells above it.");
        return;
      }
      const what = python?.started ? "Python broke down" : "Python could not be loaded";
      const why = navigator.onLine ? "" : " You are offline.";
      const reason = error instanceof Error ? error.message : error;
      python?.stop();
      forget(null);
      view.failed(`${what}: ${reason}.${why}`, () => run(cell));
    }
  });
}

/** End everything that runs or waits. */
function stop() {
  round += 1;
  python?.stop();
  forget(python?.started ? new Python() : null);
}

/** @param {Python | null} fresh What takes the place of a Python that is gone. */
function forget(fresh) {
  python = fresh;
  for (const cell of cells) cell.past = null;
}

/** @param {Cell} cell @param {View} view @param {number} mine The round in which it was asked for. */
async function perform(cell, view, mine) {
  view.busy("Loading Python", stop);
  if (!python) {
    const answer = await fetch(address("live-cells"));
    if (!answer.ok) throw new Error(`${answer.url} did not arrive (${answer.status})`);
    /** @type {Source[]} */
    const sources = await answer.json();
    if (mine !== round) throw new Stopped();
    cells = sources.map((source) => shown.get(source.id) ?? new Cell(source));
    python = new Python();
  }
  python.listener = ({ kind, text }) => kind === "progress" && view.busy(text, stop);
  await python.ready;

  const last = cells.indexOf(cell);
  const first = cells.findIndex((_, i) => i === last || !fresh(i));
  const edited = cells.findIndex((each) => each.edited);
  for (let i = first; i < last; i += 1) {
    const above = last - first === 1 ? "the cell above" : `the ${last - first} cells above: ${i - first + 1}`;
    view.busy(`Running ${above}`, stop);
    const changed = edited !== -1 && edited <= i;
    const owner = cells[i].view ?? view;
    const result = new Result(owner, changed);
    if (!(await once(i, (message) => result.add(message)))) {
      owner.put(result);
      if (owner !== view) owner.tell("This cell ended with an error.");
      const link = Object.assign(make("a", "", "Go there"), { href: `#${owner.box.id}` });
      view.tell("Not run: a cell above ended with an error.", ...(owner === view ? [] : [link]));
      return;
    }
    if (owner !== view && (changed || owner.result)) {
      await result.drawn();
      owner.put(result);
      owner.sign("Run again for a cell below.");
    }
  }

  view.busy("Running", stop);
  const began = performance.now();
  const result = new Result(view, edited !== -1 && edited <= last);
  const right = await once(last, (message) => {
    result.add(message);
    if (message.kind !== "svg") view.put(result);
  });
  await result.drawn();
  view.put(result);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  view.sign(right ? `Run by you in ${seconds} s.` : "Run by you: it ended with an error.");
}

/** Whether a cell was run as it stands, after the one above it. @param {number} i */
function fresh(i) {
  const { past, code } = cells[i];
  return past !== null && past.code === code && past.turn > (cells[i - 1]?.past?.turn ?? 0);
}

/** @param {number} i @param {(message: Message) => void} listener @returns {Promise<boolean>} */
async function once(i, listener) {
  const cell = cells[i];
  const { id, code } = cell;
  const again = fresh(i); // then it leaves what it has left before
  const right = await /** @type {Python} */ (python).run(
    { cell: id, code, above: cells[i - 1]?.id ?? "" },
    listener,
  );
  if (!right) cell.past = null;
  else if (!again) cell.past = { code, turn: (turn += 1) };
  return right;
}

const boxes = meta("pyodide") ? document.querySelectorAll("div.cell[id]:not(.tag_not-live)") : [];
for (const box of boxes) {
  const input = box.querySelector(".cell_input");
  if (!(box instanceof HTMLElement && input instanceof HTMLElement)) continue;
  const source = input.querySelector("pre")?.textContent?.replace(/\n$/, "") ?? "";
  const cell = new Cell({ id: box.id, source });
  cell.view = new View(cell, box, input);
  shown.set(cell.id, cell);
}
document.querySelector("main")?.append(voice);
