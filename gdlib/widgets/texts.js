// The text explorer: what a language model writes, along its training.

Object.assign(WORDS.zh, { "nats a character": "纳特/字符", "bits a character": "比特/字符", "text written": "写出的文字" });

export function bitsOf(nats) {
  return nats / Math.LN2;
}

function render({ model, el }) {
  const stage = make("div", { class: "gd-text", tabindex: "0", role: "region" }), texts = model.get("texts"), curves = model.get("curves");
  return explore({ model, el }, "texts", stage, (colors, room, i, k, loss) => {
    if (stage.textContent !== texts[i][k]) stage.textContent = texts[i][k];
    stage.setAttribute("aria-label", say("text written"));
    const said = `${say("loss")} ${short(loss)} ${say("nats a character")}${isChinese() ? "，" : ", "}${short(bitsOf(loss))} ${say("bits a character")}`;
    return {
      said,
      rows: curves[i].steps.map((step) => {
        const known = curves[i].diverged == null || step < curves[i].diverged ? lossAt(curves[i], step) : NaN;
        return row(`${say("step")} ${step}`, `${short(known)} ${say("nats a character")}`, `${short(bitsOf(known))} ${say("bits a character")}`);
      }),
    };
  });
}

export default { render };
