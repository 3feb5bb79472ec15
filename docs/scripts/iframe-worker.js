/* Search without a server: browsers start no Worker from a page that was opened as a file, so a hidden frame does
   its work. The theme's search asks for nothing more than messages both ways and importScripts. */
if (location.protocol === "file:") {
  const imports = (...urls) =>
    urls.reduce(
      (before, url) =>
        before.then(
          () =>
            new Promise((done, failed) => {
              const script = document.createElement("script");
              script.src = url;
              script.onload = done;
              script.onerror = () => failed(new Error(`cannot read ${url}`));
              document.body.appendChild(script);
            }),
        ),
      Promise.resolve(),
    );

  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.hear = (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const heard = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(heard);
        if (this.onmessage) this.onmessage(heard);
      };
      window.addEventListener("message", this.hear);
      const quoted = String(url).replaceAll("&", "&amp;").replaceAll('"', "&quot;");
      this.frame.srcdoc =
        `<!doctype html><body><script>self.postMessage = (data) => parent.postMessage(data, "*");` +
        `self.importScripts = ${imports};</script><script src="${quoted}"></script></body>`;
      this.ready = new Promise((done) => this.frame.addEventListener("load", done, { once: true }));
      document.body.appendChild(this.frame);
    }

    postMessage(data) {
      this.ready.then(() =>
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) })),
      );
    }

    terminate() {
      window.removeEventListener("message", this.hear);
      this.frame.remove();
    }
  };
}
