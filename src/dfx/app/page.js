// The live microphone: one request after the other, each goes on where the one before ended: no sample is lost.
const DFX_EVERY_MS = 500;
const DFX_MOST_SECONDS = 5; // of a request; the rest goes with the next one
const DFX_TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([[samples]]) { if (samples) this.port.postMessage(samples.slice()); return true; }
})`;
let dfxRecording = null;

if (navigator.mediaDevices) {
  // Without the processing that is meant for calls: the detector judges the sound as it is.
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  navigator.mediaDevices.getUserMedia = ({ audio }) => ask({ audio: { ...(audio === true ? {} : audio), ...plain } });
}

async function dfxLive() {
  const show = (text, html) => {
    const place = document.querySelector("#live .answer");
    if (html) place.innerHTML = html;
    else place.textContent = text;
  };
  if (dfxRecording) { dfxRecording.ended = true; return; }
  const recording = dfxRecording = { ended: false };
  const button = document.querySelector("#live button");
  let stream, context;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    context = new AudioContext();
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([DFX_TAP], { type: "text/javascript" })));
    const tap = new AudioWorkletNode(context, "tap");
    const blocks = [], mostBlocks = Math.ceil(DFX_MOST_SECONDS * context.sampleRate / 128);
    tap.port.onmessage = (message) => blocks.push(message.data);
    context.createMediaStreamSource(stream).connect(tap);
    button.textContent = "Stop";
    const name = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    for (let last = false; !last;) {
      if (!recording.ended) await new Promise((done) => setTimeout(done, DFX_EVERY_MS));
      last = recording.ended && blocks.length <= mostBlocks;
      const samples = blocks.splice(0, mostBlocks).flatMap((block) => Array.from(block, (x) => Math.max(-32768, Math.min(32767, Math.round(32768 * x)))));
      const reply = await fetch(`live/${name}?rate=${context.sampleRate}&last=${Number(last)}`, {
        method: "POST", body: new Int16Array(samples).buffer,
      });
      show("", await reply.text());
      if (!reply.ok) break;
    }
  } catch (error) {
    show(navigator.mediaDevices
      ? `The microphone cannot be heard (${error.message}): allow it for this page, and press Record again.`
      : "A browser lends its microphone only to pages of this machine or with https: open the page there.");
  } finally {
    stream?.getTracks().forEach((track) => track.stop());
    context?.close();
    dfxRecording = null;
    button.textContent = "Record";
  }
}
