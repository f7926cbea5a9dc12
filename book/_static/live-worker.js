// @ts-check
// Python for one page. It stands in a Web Worker, so that the page stays responsive and an endless
// loop can be ended. The worker loads Pyodide, its packages and the book's wheel; then it runs cells.

/**
 * @typedef {object} Start
 * @property {string} pyodide Address of Pyodide's folder.
 * @property {string} wheel Address of the wheel of mixedsmooth.
 * @property {string} runner Address of live_runner.py.
 * @property {string} bytecode Address of live_bytecode.py.
 *
 * @typedef {{depends: string[], file_name: string, sha256: string}} Package As Pyodide's lock has it.
 */

const PACKAGES = ["numpy", "scipy", "matplotlib"];
const CORE = ["pyodide.asm.wasm", "python_stdlib.zip"];

/** @type {any} The page as live_runner.py sees it. */
let page;

/** @param {string} kind @param {string} [text] */
const tell = (kind, text = "") => self.postMessage({ kind, text });

self.addEventListener("message", async ({ data }) => {
  try {
    if (data.kind === "start") {
      await start(data);
    } else {
      tell("done", page.run(data.cell, data.code, data.above) ? "right" : "wrong");
      await keep();
    }
  } catch (error) {
    console.error(error);
    tell("failed", error instanceof Error ? error.message : String(error));
  }
});

/** @param {Start} options */
async function start({ pyodide: base, wheel, runner, bytecode: helper }) {
  downloadPackages(base).catch(() => {}); // told where Pyodide asks for them
  const ours = Promise.all([download(wheel, "mixedsmooth"), download(runner), download(helper)]);
  ours.catch(() => {}); // told where it is awaited
  const { loadPyodide } = await import(`${base}pyodide.mjs`).catch(() => missing(`${base}pyodide.mjs`));
  const pyodide = await loadPyodide({
    indexURL: base,
    packages: PACKAGES,
    env: { MPLBACKEND: "module://live_runner" },
    stdout: (/** @type {string} */ line) => page && tell("stdout", `${line}\n`),
    stderr: (/** @type {string} */ line) => page && tell("stderr", `${line}\n`),
  });
  const [library, ...code] = await Promise.all((await ours).map((answer) => answer.arrayBuffer()));

  tell("progress", `Starting ${PACKAGES.join(", ")}`);
  const site = pyodide.runPython("import sysconfig; sysconfig.get_path('purelib')");
  pyodide.unpackArchive(library, "wheel", { extractDir: site });
  for (const [i, name] of ["live_runner", "live_bytecode"].entries()) {
    pyodide.FS.writeFile(`${site}/${name}.py`, new Uint8Array(code[i]));
  }
  await restore(pyodide, `${wheel}?python=${pyodide.version}`);
  pyodide.runPython("import mixedsmooth.plots");
  page = pyodide.pyimport("live_runner").start(tell);
  tell("ready");
}

// ---- bytecode, kept from visit to visit (see live_bytecode.py) ----

/** @type {any} */
let bytecode;
/** @type {Cache | undefined} There is none where the browser keeps nothing. */
let shelf;
let label = "";

/** @param {any} pyodide @param {string} version An address that changes with what is imported. */
async function restore(pyodide, version) {
  label = version;
  bytecode = pyodide.pyimport("live_bytecode");
  shelf = await self.caches?.open("mixedsmooth-bytecode").catch(() => undefined);
  const kept = await shelf?.match(label);
  if (kept) bytecode.restore(pyodide.toPy(await kept.arrayBuffer()));
}

async function keep() {
  const archive = shelf && bytecode.archive();
  if (!shelf || !archive) return;
  const bytes = archive.toJs();
  archive.destroy();
  for (const old of await shelf.keys()) await shelf.delete(old);
  await shelf.put(label, new Response(bytes)).catch(() => {}); // no room
}

// ---- downloads: all at once, while Python starts ----

/** @type {Map<string, Promise<Response>>} What will be asked for, and is on its way. */
const early = new Map();
/** @type {Set<string>} The names of what is on its way. */
const pending = new Set();
const core = { left: CORE.length, received: 0, total: 0 };
let told = 0;

const plainFetch = self.fetch;

/** What Pyodide calls. @type {typeof fetch} */
self.fetch = (input, options) => {
  const url = input instanceof Request ? input.url : String(input);
  const coming = early.get(url);
  early.delete(url);
  return coming ?? download(url, "", options);
};

/** Fetch the lock and what it says that the packages need. @param {string} base */
async function downloadPackages(base) {
  const lock = download(`${base}pyodide-lock.json`);
  early.set(`${base}pyodide-lock.json`, lock.then((answer) => answer.clone()));
  /** @type {Record<string, Package>} */
  const packages = (await (await lock).json()).packages;
  const wanted = new Set(PACKAGES);
  for (const name of wanted) packages[name].depends.forEach((other) => wanted.add(other)); // it grows
  for (const name of wanted) {
    const { file_name: file, sha256 } = packages[name];
    const bytes = (sha256.match(/../g) ?? []).map((byte) => parseInt(byte, 16));
    const integrity = `sha256-${btoa(String.fromCharCode(...bytes))}`;
    const answer = download(base + file, PACKAGES.includes(name) ? name : "", { integrity });
    answer.catch(() => {});
    early.set(base + file, answer);
  }
}

/**
 * Fetch, and take every answer but a good one for an error.
 * @param {string} url
 * @param {string} [name] What the reader is told that it is.
 * @param {RequestInit} [options]
 */
async function download(url, name = "", options) {
  if (name) pending.add(name);
  const answer = await plainFetch(url, options).catch(() => null);
  pending.delete(name);
  progress();
  if (!answer?.ok) return missing(url, answer?.status);
  return answer.body && CORE.some((file) => url.endsWith(`/${file}`)) ? counted(answer, answer.body) : answer;
}

/** @param {string} url @param {number} [status] @returns {never} */
function missing(url, status) {
  throw new Error(`${url} did not arrive${status ? ` (${status})` : ""}`);
}

/** Count the bytes of a big file as they come. @param {Response} answer @param {ReadableStream} body */
function counted(answer, body) {
  // the length says nothing about the content when that was compressed on its way
  const length = answer.headers.get("Content-Encoding") ? null : answer.headers.get("Content-Length");
  core.total += Number(length ?? NaN);
  const counter = new TransformStream({
    transform(chunk, controller) {
      core.received += chunk.byteLength;
      progress();
      controller.enqueue(chunk);
    },
    flush() {
      core.left -= 1;
    },
  });
  return new Response(body.pipeThrough(counter), { status: answer.status, headers: answer.headers });
}

/** Tell what is on its way, ten times a second at most. */
function progress() {
  if (performance.now() < told + 100) return;
  told = performance.now();
  const megabytes = (/** @type {number} */ bytes) => Math.round(bytes / 1e6);
  if (core.left > 0) {
    const of = Number.isNaN(core.total) ? "" : ` of ${megabytes(core.total)}`;
    tell("progress", `Loading Python${core.received ? `: ${megabytes(core.received)}${of} MB` : ""}`);
  } else {
    tell("progress", pending.size > 0 ? `Loading ${[...pending].join(", ")}` : "Starting Python");
  }
}
