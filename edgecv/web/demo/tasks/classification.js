// One class of several, as edgecv/tasks/classification/task.py reads it.

import { element } from "../draw.js";
import { softmax, sigmoid } from "../numbers.js";

const SHOWN = 5;

// Return {labels: [{label, score}]}, the answer first and the others best first.
export function decode([output], head) {
  let values = probabilities(output.values, head.activation);
  if (values.length === 1) values = Float32Array.of(1 - values[0], values[0]);
  const names = head.labels.length ? head.labels : Array.from(values, (_, index) => String(index));
  const order = Array.from(values, (_, index) => index).sort((a, b) => values[b] - values[a] || a - b);
  const { threshold } = head.settings;
  if (threshold !== null && threshold !== undefined) {
    const answer = values[1] > threshold ? 1 : 0;
    order.sort((a, b) => (b === answer) - (a === answer));
  }
  return { labels: order.map((index) => ({ label: names[index], score: values[index] })) };
}

function probabilities(values, activation) {
  if (activation === "probabilities") return values;
  if (values.length === 1) return Float32Array.of(sigmoid(values[0]));
  return softmax(activation === "distances" ? values.map((value) => -value) : values);
}

export function show(answer, { list, summary }) {
  const best = answer.labels[0];
  summary.replaceChildren(element("strong", best.label), element("span", percent(best.score), "share"));
  list.replaceChildren(
    ...answer.labels.slice(0, SHOWN).map(({ label, score }, index) => {
      const bar = element("div", "", "bar");
      bar.append(element("i"));
      bar.firstChild.style.width = `${Math.max(0.4, 100 * score)}%`;
      const row = element("li", "", index === 0 ? "best" : "");
      row.append(element("span", label, "label"), element("span", percent(score), "share"), bar);
      return row;
    }),
  );
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
