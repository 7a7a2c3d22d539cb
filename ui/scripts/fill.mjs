/**
 * Runs inside the page: fills the fields from outside of a fake world, and measures what the screen made of them. Each
 * function stands alone (it is sent to the page as text) and keeps its findings in `window`.
 */

/** Gives the page `vitrineFill(world, texts)`: see `ROOTS`, `FIELDS`, `shapes` and `DISPLAY_TEXTS` in outside.mjs. */
export function installFill({ shapes, FIELDS, ROOTS, DISPLAY_TEXTS }) {
  // Filled only where the scenario has them: they bring a screen into another state.
  const LEFT_ALONE = new Set(['OpenSeriesView.mismatch_text', 'HeldView.stopped_text', 'ChartView.break_glass_text', 'LockView.device_text']);
  let used = [];
  const give = (field, optional, old, text, fill) => {
    if (old === null && (!fill || LEFT_ALONE.has(field))) return null;
    const given = text(field, optional, used.length);
    used.push({ field, text: given });
    return given;
  };
  const walk = (value, view, text, fill) => {
    if (value === null || typeof value !== 'object') return;
    const plain = view.replace(/<.*/, '');
    const inner = /<(.*)>/.exec(view)?.[1];
    for (const [field, [how, type, optional]] of Object.entries(shapes[plain] ?? {})) {
      if (!(field in value)) continue;
      const old = value[field];
      const name = `${plain}.${field}`;
      const outside = FIELDS[plain]?.[field] !== 'engine';
      if (how === 'text') {
        if (outside) value[field] = give(name, optional, old, text, fill);
      } else if (how === '[text') {
        if (outside) value[field] = (old.length === 0 && fill && !LEFT_ALONE.has(name) ? ['', ''] : old).map((each) => give(name, false, each, text, fill));
      } else {
        for (const each of how === 'view' ? [old] : old) walk(each, type === 'T' ? (inner ?? '') : type, text, fill);
      }
    }
  };
  const displays = (display, text) => {
    for (const path of DISPLAY_TEXTS) {
      const steps = path.split('.');
      const last = steps.pop();
      let at = [display];
      for (const step of steps) at = at.flatMap((each) => (step === '*' ? (Array.isArray(each) ? each : [each]) : [each?.[step]])).filter((each) => each !== undefined && each !== null);
      for (const each of at) {
        if (last === '*') for (let i = 0; i < each.length; i++) each[i] = give(`Display.${path}`, false, each[i], text, false);
        else if (typeof each[last] === 'string') each[last] = give(`Display.${path}`, false, each[last], text, false);
      }
    }
  };
  window.vitrineFill = (world, text, fill) => {
    used = [];
    for (const [root, type] of Object.entries(ROOTS)) {
      const view = type.replace('[', '');
      const held = world[root];
      if (held === 'never' || held === null) continue;
      if (held !== null && typeof held === 'object' && 'error' in held) walk(held.error, 'ErrorView', text, fill);
      else if (type.startsWith('[')) for (const each of held) walk(each, view, text, fill);
      else walk(typeof held === 'object' && 'ok' in held ? held.ok : held, view, text, fill);
    }
    if (world.imaging.fails !== null && world.imaging.fails !== 'never') walk(world.imaging.fails, 'ErrorView', text, fill);
    if (world.imaging.held.stopped_text) world.imaging.held.stopped_text = give('HeldView.stopped_text', true, '', text, fill);
    world.imaging.alter = (view) => {
      walk(view, 'OpenSeriesView', text, fill);
      for (const display of view.displays) displays(display, text);
    };
    return used;
  };
}

/** Gives the page `vitrineLook(used, { plain, shown, blank })`: what is wrong, and which texts are shown. */
export function installLook() {
  // Never on a screen: they change how text around them is ordered or read, or are seen by nobody.
  const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\u2028\u2029]|[\u{e0000}-\u{e0fff}]/u;
  const PILE = /\p{Mn}{5}/u;
  // For comparing: without what may be shown in another form (blanks, invisible signs, piles of marks).
  const bare = (text) => text.replace(/[\s\ufffd\u200c-\u200f\u061c]|\p{Mn}|\p{Me}|\p{Cc}|\p{Cf}|[\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufffe\uffff]|[\u{e0000}-\u{e0fff}]/gu, '');
  const OFF = '[data-rehearsal], .visually-hidden, script, style, option, canvas, svg';
  const nameOf = (el) => {
    const parts = [];
    for (let at = el; at !== null && at.id !== 'app' && parts.length < 3; at = at.parentElement) {
      const classes = [...at.classList].filter((each) => !each.startsWith('svelte-')).join('.');
      parts.unshift(at.tagName.toLowerCase() + (classes === '' ? '' : `.${classes}`));
    }
    return parts.join(' > ');
  };
  // Where all of a name has to be, never nothing.
  const NEVER_EMPTY = [
    '[data-testid=patient-row] .name b', '[data-testid=banner-name]', '.identity .name', '.agent', '.medicine .name', '.line .text', '[data-testid=vital] .label',
    '.measures .name', '.measured .value', '[data-testid=lab] th', '.corner[data-testid=identity] > b', 'article h3', '.head b', '[data-testid=allergy-detail] tbody th',
    '[data-testid=study] h3', '[data-testid=critical] .label-of', '[data-testid=series] b', '[data-testid^=reason-] span', '[data-testid=wall-bed] .name', '[data-testid=wall-signal] b',
  ];

  window.vitrineLook = (used, { plain, shown, given }) => {
    const findings = [];
    const say = (what, where, example = '') => findings.push({ what, where, example: example.slice(0, 60) });
    const root = document.getElementById('app');
    const styles = new Map();
    const look = (el) => {
      let known = styles.get(el);
      if (known === undefined) {
        const style = getComputedStyle(el);
        const r = el.getBoundingClientRect();
        const inline = style.display === 'inline' || style.display === 'contents';
        const body = el === document.body;
        known = {
          style, inline,
          ox: body ? 'clip' : style.overflowX,
          oy: body ? 'clip' : style.overflowY,
          box: body ? { left: 0, top: 0, right: innerWidth, bottom: innerHeight } : { left: r.left, top: r.top, right: r.right, bottom: r.bottom },
        };
        styles.set(el, known);
      }
      return known;
    };
    const layerOf = (el) => {
      for (let at = el; at !== null && at !== root; at = at.parentElement) {
        const { position } = look(at).style;
        if (position === 'sticky' || position === 'fixed') return at;
        // A word about what was just asked lies over the picture until the next key.
        if (at.matches('.bar.refusal')) return at;
        if (position === 'absolute') {
          // What lies over all of its parent covers it by intent.
          const mine = look(at).box;
          const around = at.offsetParent?.getBoundingClientRect();
          if (around && mine.bottom - mine.top > 0.9 * around.height && mine.right - mine.left > 0.9 * around.width) return at;
        }
      }
      return root;
    };

    // ---- sideways ----
    if (document.documentElement.scrollWidth > document.documentElement.clientWidth) say('page scrolls sideways', 'html');
    const words = [];
    const rects = [];
    for (const el of root.querySelectorAll('*')) {
      if (el.closest(OFF) !== null) continue;
      const { ox, oy } = look(el);
      // A table of times scrolls by whole columns, and says how many are hidden on which side (shared/TimeTable.svelte).
      if (/auto|scroll/.test(ox) && !el.matches('[data-columns]') && el.scrollWidth > el.clientWidth + 1) say('scrolls sideways', nameOf(el), `${el.scrollWidth} in ${el.clientWidth}`);
      if (/auto|scroll/.test(oy) && el.clientHeight < 36 && el.scrollHeight > el.clientHeight + 2) say('no room to read', nameOf(el), `${el.clientHeight} px`);
      if (el.title !== undefined && HIDDEN.test(el.title)) say('invisible sign in a title', nameOf(el), el.title);
    }

    // ---- each text: clipped, out of its box ----
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const el = node.parentElement;
      if (el === null || node.data.trim() === '') continue;
      if (el.closest('[data-rehearsal]') !== null) continue;
      words.push(node.data);
      if (HIDDEN.test(node.data)) say('invisible sign', nameOf(el), JSON.stringify(HIDDEN.exec(node.data)?.[0]));
      if (PILE.test(node.data)) say('pile of marks over other lines', nameOf(el));
      if (el.closest(OFF) !== null || el.checkVisibility?.({ visibilityProperty: true, contentVisibilityAuto: true }) === false) continue;
      // Heard, not seen, by a style of its own.
      const own = look(el);
      if (/hidden|clip/.test(own.ox) && own.box.right - own.box.left <= 2) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      let told = false;
      for (const given of range.getClientRects()) {
        if (given.width < 1 || given.height < 1) continue;
        const r = { left: given.left, top: given.top, right: given.right, bottom: given.bottom };
        let away = false;
        let free = false;
        for (let at = el; at !== null && at !== document.documentElement; at = at.parentElement) {
          const { style, ox, oy, box, inline } = look(at);
          if (free && style.position === 'static') continue;
          if (!inline) {
            const cutX = /hidden|clip/.test(ox);
            const cutY = /hidden|clip/.test(oy);
            if (!told && !/auto|scroll/.test(ox) && (r.right > box.right + 2 || r.left < box.left - 2)) {
              told = true;
              say(cutX ? 'cut off at the side' : 'runs out of its box', `${nameOf(el)} in ${nameOf(at)}`, node.data);
            }
            if (!told && !/auto|scroll/.test(oy) && (r.bottom > box.bottom + 7 || r.top < box.top - 7)) {
              told = true;
              say(cutY ? 'cut off below' : 'runs out below', `${nameOf(el)} in ${nameOf(at)}`, node.data);
            }
            if (/auto|scroll/.test(ox)) {
              if (!told && r.left - box.left + at.scrollLeft < -2) { told = true; say('cut off, cannot be scrolled to', `${nameOf(el)} in ${nameOf(at)}`, node.data); }
              r.left = Math.max(r.left, box.left);
              r.right = Math.min(r.right, box.right);
            }
            if (/auto|scroll/.test(oy)) {
              if (!told && r.top - box.top + at.scrollTop < -7) { told = true; say('cut off, cannot be scrolled to', `${nameOf(el)} in ${nameOf(at)}`, node.data); }
              r.top = Math.max(r.top, box.top);
              r.bottom = Math.min(r.bottom, box.bottom);
            }
            if (r.right <= r.left || r.bottom <= r.top) {
              away = true;
              break;
            }
          }
          if (style.position === 'fixed') break;
          if (style.position === 'absolute') free = true;
          else if (style.position !== 'static') free = false;
        }
        if (!away) rects.push({ ...r, node, el });
      }
    }

    // ---- texts over each other ----
    rects.sort((a, b) => a.top - b.top);
    const told = new Set();
    for (let i = 0; i < rects.length; i++) {
      const a = rects[i];
      for (let j = i + 1; j < rects.length && rects[j].top < a.bottom; j++) {
        const b = rects[j];
        if (a.node === b.node) continue;
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - b.top;
        // Of a line that is cut by the edge it scrolls under only a pixel or two may be left.
        if (wide < 3 || high < 3 || high < 0.4 * Math.min(a.bottom - a.top, b.bottom - b.top)) continue;
        const where = `${nameOf(a.el)} over ${nameOf(b.el)}`;
        if (told.has(where) || layerOf(a.el) !== layerOf(b.el)) continue;
        told.add(where);
        say('texts over each other', where, b.node.data);
      }
    }

    // ---- each text stands alone in what orders its letters ----
    const alone = (container) => {
      let text = '';
      const take = (at) => {
        for (const child of at.childNodes) {
          if (child.nodeType === Node.TEXT_NODE) text += child.data;
          else if (child.nodeType === Node.ELEMENT_NODE) {
            const { inline, style } = look(child);
            if (inline && !/isolate|plaintext/.test(style.unicodeBidi)) take(child);
            // Another box, or another isolate, counts as one neutral sign.
          }
        }
      };
      take(container);
      return text.trim();
    };
    const all = words.join('\n');
    const seen = [];
    if (plain) {
      for (const [id, { text }] of used.entries()) if (text !== null && text !== '' && all.includes(text)) seen.push(id);
      const again = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      for (let node = again.nextNode(); node !== null; node = again.nextNode()) {
        const token = /zq\d+qz/.exec(node.data)?.[0];
        const el = node.parentElement;
        if (token === undefined || el === null || el.closest(OFF) !== null) continue;
        let at = el;
        while (look(at).inline && !/isolate|plaintext/.test(look(at).style.unicodeBidi)) at = at.parentElement;
        const text = alone(at);
        // Between Latin words, or after one at the end of a line, no letter of theirs can be moved.
        const [before, after] = text.split(token);
        if (/[A-Za-z][\s“(—–:,;·]*$/.test(before ?? '') && /^([\s”)….,;:—–]*$|[\s”)…,;:—–]*[A-Za-z])/.test(after ?? '') && text.split(token).length === 2) continue;
        if (text !== token) say('shares its line with other words', `${nameOf(el)} (${used[Number(token.slice(2, -2))]?.field})`, text);
      }
    }

    // ---- the whole of it, and never nothing ----
    const values = [...root.querySelectorAll('input, option')].filter((each) => each.closest('[data-rehearsal]') === null).map((each) => each.value + (each.label ?? ''));
    const whole = bare(`${all}\n${values.join('\n')}`);
    for (const id of shown ?? []) {
      const { field, text } = used[id] ?? {};
      if (text === undefined || text === null) continue;
      const wanted = bare(text);
      if (wanted === '' || whole.includes(wanted)) continue;
      // A note's beginning says that it goes on.
      if (field === 'NoteView.text' && all.includes('continues in Notes') && wanted.startsWith(bare(text).slice(0, 60))) continue;
      say('a part is missing', field, text);
    }
    for (const each of NEVER_EMPTY) {
      for (const el of root.querySelectorAll(each)) if (el.closest('[data-rehearsal]') === null && (el.textContent ?? '').replace(/[\s\u200c-\u200f\u061c]/g, '') === '') say('shown as nothing', nameOf(el));
    }
    if (!given) for (const word of ['undefined', 'null', 'NaN', '[object']) if (all.includes(word)) say(`the word ${word}`, 'page');
    return { findings, seen };
  };
}
