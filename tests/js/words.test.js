import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, test } from "node:test";
import { fill, isEnglish, say, WORDS } from "../../gdlib/widgets/shared/words.js";

const HOME = new URL("../../gdlib/widgets/", import.meta.url);
const files = ["./", "./shared/"].flatMap((folder) =>
  readdirSync(new URL(folder, HOME))
    .filter((name) => name.endsWith(".js") && name !== "words.js")
    .map((name) => readFileSync(new URL(folder + name, HOME), "utf8")),
);
const speak = (lang) => {
  globalThis.document = { documentElement: { lang } };
};
afterEach(() => {
  delete globalThis.document;
});

test("what is said in one language is said in every other, of the same values", () => {
  const valuesOf = (text) => [...new Set([...text.matchAll(/\{(\w+)/g)].map(([, name]) => name))].sort();
  for (const [key, text] of Object.entries(WORDS.en)) {
    assert.ok(key in WORDS.zh, key);
    assert.deepEqual(valuesOf(WORDS.zh[key]), valuesOf(text), key);
  }
  for (const [key, text] of Object.entries(WORDS.zh)) {
    if (!(key in WORDS.en)) assert.deepEqual(valuesOf(text), [], `${key} stands for itself in English`);
  }
});

test("every word that the code says stands in the table", () => {
  const said = files.flatMap((text) => [...text.matchAll(/\b(?:say|button|select|slideCanvas)\(\s*"([^"]+)"/g)]);
  assert.ok(said.length > 100);
  for (const [, key] of said) assert.ok(key in WORDS.zh, key);
});

test("every sentence is said by some code, so that no widget's notebook misses one", () => {
  const begins = files.flatMap((text) => [...text.matchAll(/say\(`([^`$]+)\$\{/g)].map(([, begin]) => begin));
  for (const key of Object.keys(WORDS.en)) {
    const said = files.some((text) => text.includes(`"${key}"`)) || begins.some((begin) => key.startsWith(begin));
    assert.ok(said, key);
  }
});

test("the code itself holds no sentence in another language", () => {
  for (const text of files) assert.ok(!/[\u4e00-\u9fff]/.test(text));
});

test("the page's language is spoken, and English where there is none or an unknown one", () => {
  assert.equal(say("learning rate"), "learning rate");
  speak("zh-CN");
  assert.ok(!isEnglish());
  assert.equal(say("learning rate"), "学习率");
  assert.equal(say("the name of a reader's run"), "the name of a reader's run");
  for (const lang of ["", "en-GB", "de"]) {
    speak(lang);
    assert.ok(isEnglish());
    assert.equal(say("the numbers"), "The numbers");
  }
});

test("values are put in, and one is not many", () => {
  assert.equal(fill("{n} {n|step|steps} of {all}", { n: 1, all: 2 }), "1 step of 2");
  assert.equal(fill("{n} {n|step|steps}", { n: 0 }), "0 steps");
  assert.equal(say("seeds diverge", { diverged: 1, seeds: 3 }), "1 of 3 seeds diverge");
  assert.equal(say("final loss", { loss: 1, low: 0.5, high: 2, seeds: 1 }), "final loss 1 (0.5–2) over 1 seed");
});
