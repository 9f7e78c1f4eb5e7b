// A Worker that runs its script in a hidden frame: browsers start no workers for pages opened as files.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.appendChild(this.frame)
      const inner = this.frame.contentWindow
      addEventListener("message", (event) => {
        if (event.source !== inner) return
        const told = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(told)
        if (this.onmessage) this.onmessage(told)
      })
      const script = (src) => new Promise((done) => {
        const element = inner.document.createElement("script")
        element.src = src
        element.onload = element.onerror = done
        inner.document.body.appendChild(element)
      })
      inner.document.open()
      inner.document.write("<!doctype html><body></body>")
      inner.document.close()
      inner.postMessage = parent.postMessage.bind(parent)
      inner.importScripts = (...urls) => urls.reduce((before, src) => before.then(() => script(src)), Promise.resolve())
      inner.eval("postMessage = (data) => parent.postMessage(data, '*')")
      this.ready = script(new URL(url, location.href).href)
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(
        Object.assign(new MessageEvent("message", { data }), {})))
    }
    terminate() {
      this.frame.remove()
    }
  }
