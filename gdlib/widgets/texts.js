// The text explorer: what a language model writes, along its training.
import { explore, lossAt } from "./shared/along.js";
import { make, row } from "./shared/elements.js";
import { short } from "./shared/numbers.js";
import { say } from "./shared/words.js";

export function bitsOf(nats) {
  return nats / Math.LN2;
}

const inNats = (loss) => say("nats a character", { loss: short(loss) });
const inBits = (loss) => say("bits a character", { loss: short(bitsOf(loss)) });

function render({ model, el }) {
  const stage = make("div", { class: "gd-text", tabindex: "0", role: "region", "aria-label": say("text written") });
  const texts = model.get("texts");
  const curves = model.get("curves");
  return explore({ model, el }, "texts", stage, (_, _colors, _room, i, k, loss) => {
    if (stage.textContent !== texts[i][k]) stage.textContent = texts[i][k];
    return {
      said: say("loss of a text", { nats: inNats(loss), bits: inBits(loss) }),
      rows: curves[i].steps.map((step) => {
        const known = curves[i].diverged == null || step < curves[i].diverged ? lossAt(curves[i], step) : NaN;
        return row(`${say("step")} ${step}`, inNats(known), inBits(known));
      }),
    };
  });
}

export default { render };
