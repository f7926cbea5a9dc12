// @ts-check
// The editor of a live cell: CodeMirror, looking like the code that it takes the place of.

import {
  EditorState,
  EditorView,
  Prec,
  bracketMatching,
  defaultKeymap,
  history,
  historyKeymap,
  indentOnInput,
  indentUnit,
  indentWithTab,
  keymap,
  pythonLanguage,
  syntaxHighlighting,
  tagHighlighter,
  tags as t,
} from "./codemirror/codemirror.js";

const LABEL = "Code of this cell. Shift and Enter run it. Escape, then Tab, leaves the editor.";
const ESCAPE = 60_000; // milliseconds in which Tab leaves the editor after Escape

/** The classes of Pygments, so that the page's own colors hold, in light and in dark mode. */
const highlighter = tagHighlighter([
  { tag: [t.keyword, t.controlKeyword, t.definitionKeyword], class: "k" },
  { tag: t.moduleKeyword, class: "kn" },
  { tag: [t.bool, t.null], class: "kc" },
  { tag: t.operatorKeyword, class: "ow" },
  { tag: [t.operator, t.derefOperator], class: "o" },
  { tag: t.punctuation, class: "p" },
  { tag: t.number, class: "m" },
  { tag: t.string, class: "s" },
  { tag: t.escape, class: "se" },
  { tag: t.comment, class: "c" },
  { tag: t.function(t.definition(t.variableName)), class: "nf" },
  { tag: t.definition(t.className), class: "nc" },
  { tag: t.meta, class: "nd" },
]);

/**
 * Put an editor in the place of a code block.
 * @param {object} options
 * @param {HTMLElement} options.pre The code block; it is hidden until the editor goes.
 * @param {string} options.code
 * @param {(code: string) => void} options.changed Called with the code after each change.
 * @param {() => void} options.run
 * @param {{x: number, y: number}} [options.at] Where the cursor is to stand, in the window.
 * @returns {{remove: () => void}}
 */
export function openEditor({ pre, code, changed, run, at }) {
  const runs = () => {
    run();
    return true;
  };
  const keys = [
    { key: "Shift-Enter", run: runs },
    { key: "Ctrl-Enter", mac: "Cmd-Enter", run: runs },
    {
      key: "Escape",
      run: (/** @type {EditorView} */ view) => {
        view.setTabFocusMode(ESCAPE);
        return true;
      },
    },
  ];
  const place = document.createElement("div");
  place.className = "live-editor";
  pre.before(place);
  const view = new EditorView({
    parent: place,
    doc: code,
    extensions: [
      Prec.highest(keymap.of(keys)),
      keymap.of([indentWithTab, ...defaultKeymap, ...historyKeymap]),
      history(),
      pythonLanguage,
      syntaxHighlighting(highlighter),
      indentUnit.of("    "),
      indentOnInput(),
      bracketMatching(),
      EditorState.tabSize.of(4),
      EditorView.contentAttributes.of({ "aria-label": LABEL }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) changed(update.state.doc.toString());
      }),
    ],
  });
  pre.hidden = true;
  const position = at && view.posAtCoords(at);
  if (position) view.dispatch({ selection: { anchor: position } });
  view.focus();
  return {
    remove() {
      view.destroy();
      place.remove();
      pre.hidden = false;
    },
  };
}
