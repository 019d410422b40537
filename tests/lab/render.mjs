// Markdown to a page in GitHub's style, for `render`: render.mjs FILE.md NODE_MODULES light|dark
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [file, modules, theme] = process.argv.slice(2);
const { Marked } = await import(pathToFileURL(`${modules}/marked/lib/marked.esm.js`));
const css = await readFile(`${modules}/github-markdown-css/github-markdown-${theme}.css`, "utf8");
const mermaid = pathToFileURL(`${modules}/mermaid/dist/mermaid.min.js`);

// GitHub draws these five quotes as coloured boxes; marked does not know them.
const alert = /^\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\s*/;
const marked = new Marked({
  gfm: true,
  renderer: {
    code({ text, lang }) {
      if (lang !== "mermaid") return false;
      return `<pre class="mermaid">${text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</pre>`;
    },
    blockquote({ raw }) {
      const inner = raw.replace(/^> ?/gm, "");
      const kind = alert.exec(inner)?.[1];
      if (!kind) return false;
      const title = kind[0] + kind.slice(1).toLowerCase();
      return `<div class="markdown-alert markdown-alert-${kind.toLowerCase()}"><p class="markdown-alert-title">${title}</p>${marked.parse(inner.replace(alert, ""))}</div>`;
    },
  },
});

// GitHub removes scripts, styles and event handlers; a summary that relies on them must look broken here too.
const body = marked
  .parse(await readFile(file, "utf8"))
  .replace(/<(script|style|iframe)\b[\s\S]*?<\/\1>/gi, "")
  .replace(/\s(style|class|on\w+)=("[^"]*"|'[^']*')(?=[^<]*>)/gi, (all) => (/class="(mermaid|markdown-alert|language-)/.test(all) ? all : ""));

console.log(`<!doctype html><meta charset="utf-8"><style>${css}
body { margin: 0; padding: 24px; background: ${theme === "dark" ? "#0d1117" : "#fff"}; }
.markdown-body { border: 1px solid #d1d9e0; border-radius: 6px; padding: 24px; }</style>
<article class="markdown-body">${body}</article>
<script src="${mermaid}"></script>
<script type="module">
  mermaid.initialize({ startOnLoad: false, theme: "${theme === "dark" ? "dark" : "default"}" });
  try { await mermaid.run(); } finally {
    document.documentElement.dataset.height = Math.ceil(document.querySelector("article").getBoundingClientRect().bottom + 24);
  }
</script>`);
