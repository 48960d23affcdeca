// Uses reports in Chromium, each with the policy and without it, and prints the differences as JSON.
// usage: reports.cjs CHROMIUM TASK    task: {"reports": [{"name", "guarded", "plain"}], "attacks": [{"name", "url"}]}
const { chromium } = require('playwright-core');

// Milliseconds until requests that a script starts have left the browser.
const AFTER_ATTACK = 1500;

// Milliseconds that two pages' scripts may take until both look the same, and between two comparisons.
const RENDERING = { limit: 5000, interval: 50 };

/// A page that records errors and failed requests, without the origin, which differs with the policy and without.
async function openPage(browser, url) {
  const { origin } = new URL(url);
  const page = await (await browser.newContext()).newPage();
  const problems = [];
  const missing = [];
  const record = (text) => problems.push(String(text).replaceAll(origin, ''));
  page.on('console', (message) => {
    const { url } = message.location();
    if (message.type() === 'error' && !url.endsWith('/favicon.ico')) record(message.text());
  });
  page.on('pageerror', record);
  // A style sheet's 404 fails too: Chromium rejects its content type.
  page.on('requestfailed', (request) => {
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
  return { url, origin, page, problems, missing, record };
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
    for (let waited = 0; ; waited += RENDERING.interval) {
      await tabs[0].page.waitForTimeout(RENDERING.interval);
      const [one, other] = await both(visibleState);
      if (one === other) return;
      if (waited >= RENDERING.limit) {
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
  const open = () => both(({ page, url }) => openReport(page, url));
  const expand = () =>
    each('expand', EXPAND, 4, (one) => run('expand', (_, which) => one(which).click({ timeout: 2000, noWaitAfter: true })));
  const press = async (keys) => {
    for (const key of keys) await run('keyboard', (page) => page.keyboard.press(key));
  };
  await open();
  await compare('open');
  await each('filter', FILTER, 1, async (one) => {
    await run('filter', (_, which) => one(which).fill('e'));
    await run('filter', (_, which) => one(which).press('Enter'));
    await run('filter', (_, which) => one(which).fill(''));
  });
  await each('sort', SORT, 3, (one) => run('sort', (_, which) => one(which).click({ timeout: 2000 })));
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
    await run('file', (_, which) => files[which].click({ timeout: 2000 }));
    await both(({ page }) => page.waitForLoadState('load'));
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
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
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
