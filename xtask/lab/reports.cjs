// Uses reports in Chromium, each with the policy and without it, and prints the differences as JSON.
// usage: reports.cjs CHROMIUM TASK    task: {"reports": [{"name", "guarded", "plain"}], "attacks": [{"name", "url"}]}
const { chromium } = require('playwright-core');

// Milliseconds until requests that a script starts have left the browser.
const AFTER_ATTACK = 1500;

// Milliseconds that a page may take until it rests and looks like the other one. No page needs them, but a busy machine may.
const PATIENCE = 30000;
// Milliseconds between two looks at a page.
const INTERVAL = 50;
// Milliseconds that an element at rest may take to be clickable. Some never are: another one covers them.
const CLICKABLE = 10000;

/// A page that records errors and failed requests, without the origin, which differs with the policy and without.
async function openPage(browser, url) {
  const { origin } = new URL(url);
  const page = await (await browser.newContext()).newPage();
  const problems = [];
  const missing = [];
  const requests = { started: 0, open: new Set() };
  const record = (text) => problems.push(String(text).replaceAll(origin, ''));
  page.on('console', (message) => {
    const { url } = message.location();
    if (message.type() === 'error' && !url.endsWith('/favicon.ico')) record(message.text());
  });
  page.on('pageerror', record);
  page.on('request', (request) => {
    requests.started += 1;
    requests.open.add(request);
  });
  page.on('requestfinished', (request) => requests.open.delete(request));
  // A style sheet's 404 fails too: Chromium rejects its content type.
  page.on('requestfailed', (request) => {
    requests.open.delete(request);
    record(`${request.url()}: ${request.failure().errorText}`);
    missing.push(request.url().replace(origin, ''));
  });
  page.on('response', (response) => {
    if (response.status() >= 400) missing.push(response.url().replace(origin, ''));
  });
  page.on('dialog', (dialog) => dialog.dismiss());
  await page.addInitScript(() => {
    // The same random numbers on both pages: nvd3 (PHPUnit's dashboard) moves its points at random, and for some values
    // d3's Voronoi diagram throws.
    let state = 1;
    Math.random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const logViolation = (event) => console.error(`violates ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
    document.addEventListener('securitypolicyviolation', logViolation);
  });
  return { url, origin, page, problems, missing, requests, record };
}

/// Runs an action that fails if the page is left meanwhile, by a script or by the click before; then again on the next
/// page. Any other failure is the same each time.
const onSomePage = async (page, action) => {
  for (let failures = 0; ; failures += 1) {
    try {
      return await action();
    } catch (error) {
      if (failures === 3) throw error;
      await page.waitForLoadState('load');
    }
  }
};

const visible = (page, selector, most) =>
  onSomePage(page, async () => {
    const all = await page.locator(selector).all();
    const shown = [];
    for (const one of all.slice(0, 40)) if (shown.length < most && (await one.isVisible())) shown.push(one);
    return shown;
  });

const inPage = (page, script) => onSomePage(page, () => page.evaluate(script));

const openReport = (page, url) => onSomePage(page, () => page.goto(url, { waitUntil: 'load' }));

/// Waits until the page has loaded, has no request in flight, and has drawn what its scripts changed: the next step then
/// finds the same page, however busy the machine is.
async function untilAtRest({ page, requests }) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await page.waitForTimeout(INTERVAL)) {
    await page.waitForLoadState('load');
    const before = requests.started;
    await inPage(page, () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    if (!requests.open.size && requests.started === before) return;
  }
}

/// Returns what a reader sees: the text, how much of it is visible, and the scroll position.
const visibleState = async ({ page, origin }) => {
  const text = await inPage(page, () => {
    const root = document.body || document.documentElement;
    const styled = [...root.querySelectorAll('*')].filter((element) => element.getClientRects().length);
    return `${root.innerText || root.textContent}\n${styled.length} ${scrollY} ${location.href}`;
  });
  return text.replaceAll(origin, '');
};

const FILTER = '#filter, input[type=search], input[type=text], input:not([type])';
const SORT = 'th, thead td, .sortable, a[href*="index-sort"]';
const EXPAND = 'summary, .expand, [onclick], label, select, button, input[type=checkbox], .collapsed, .toggle';
const FILE = 'td a[href], .file a[href], .name a[href], li a[href], [data-testid] a[href], a.src_link[href], a[href*=".html"]';

/// Runs every step that the report supports, on the page with the policy and on the one without.
async function compareReport(browser, { name, guarded, plain }) {
  const tabs = await Promise.all([guarded, plain].map((url) => openPage(browser, url)));
  const both = (action) => Promise.all(tabs.map(action));
  const steps = [];
  const differences = [];
  const compare = async (step) => {
    for (const end = Date.now() + PATIENCE; ; await tabs[0].page.waitForTimeout(INTERVAL)) {
      await both(untilAtRest);
      const [one, other] = await both(visibleState);
      if (one === other) return;
      if (Date.now() > end) {
        differences.push(`${step}:\n${one}\nand without the policy:\n${other}`);
        return;
      }
    }
  };
  const run = async (step, action) => {
    steps.push(step);
    await both(async (tab, which) => {
      try {
        await action(tab.page, which);
      } catch (error) {
        tab.record(`${step}: ${String(error).split('\n')[0]}`);
      }
    });
    await compare(step);
  };
  const each = async (name, selector, most, action) => {
    const found = await both(({ page }) => visible(page, selector, most));
    if (found[0].length !== found[1].length) differences.push(`${name}: ${found[0].length} and without the policy ${found[1].length}`);
    for (const nth of found[0].keys()) if (found[1][nth]) await action((which) => found[which][nth]);
  };
  // An earlier click may have removed the element.
  const click = async (one) => (await one.count()) && one.click({ timeout: CLICKABLE });
  const open = async () => {
    await both(({ page, url }) => openReport(page, url));
    await compare('open');
  };
  const expand = () => each('expand', EXPAND, 4, (one) => run('expand', (_, which) => click(one(which))));
  const press = async (keys) => {
    for (const key of keys) await run('keyboard', (page) => page.keyboard.press(key));
  };
  await open();
  await each('filter', FILTER, 1, async (one) => {
    await run('filter', (_, which) => one(which).fill('e'));
    await run('filter', (_, which) => one(which).press('Enter'));
    await run('filter', (_, which) => one(which).fill(''));
  });
  await each('sort', SORT, 3, (one) => run('sort', (_, which) => click(one(which))));
  await both(({ page }) => inPage(page, () => document.activeElement && document.activeElement.blur()));
  await press('nms?f');
  await open();
  await expand();
  await open();
  const firstFile = async ({ page, url, origin }) => {
    for (const one of await visible(page, FILE, 20)) {
      const target = new URL(await one.evaluate((link) => link.href), url);
      if (target.origin === origin && !/index(-sort-.)?\.html$|\/$/.test(target.pathname)) return one;
    }
    return null;
  };
  const files = await both((tab) => onSomePage(tab.page, () => firstFile(tab)));
  if (files[0] && files[1]) {
    await run('file', (_, which) => click(files[which]));
    await press('jnkr');
    await expand();
  }
  await both(({ page }) => page.context().close());
  return { name, steps, differences, problems: tabs[0].problems, problemsWithout: tabs[1].problems, missing: tabs[1].missing };
}

/// Opens a hostile page, clicks its button, and returns what its scripts could read.
async function openHostilePage(browser, url) {
  const { page } = await openPage(browser, url);
  // A page that navigates while it loads never reports `load`.
  await page.goto(url, { waitUntil: 'commit' });
  await page.waitForTimeout(AFTER_ATTACK);
  for (const one of await visible(page, 'button', 1)) {
    await one.click();
    await page.waitForTimeout(AFTER_ATTACK);
  }
  const read = await page.evaluate('window.read || []').catch(() => []);
  await page.context().close();
  return read;
}

async function main(executablePath, task) {
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      // Reports name files on other hosts. Without the policy, pages would wait for them, and be what these hosts make them.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
    // Block pop-ups without a click, as a reader's browser does.
    ignoreDefaultArgs: ['--disable-popup-blocking'],
  });
  const reports = [];
  const attacks = [];
  try {
    for (const report of task.reports) reports.push(await compareReport(browser, report));
    for (const { name, url } of task.attacks) attacks.push({ name, read: await openHostilePage(browser, url) });
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify({ reports, attacks }));
}

main(process.argv[2], JSON.parse(process.argv[3])).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
