// Works through reports in Chromium, each with its policy and without one, and prints as JSON what was seen in both.
// usage: reports.cjs CHROMIUM TASK    task: {"reports": [{"name", "guarded", "plain"}], "attacks": [{"name", "url"}]}
const { chromium } = require('playwright-core');

// Long enough for what a script starts to have left the browser.
const AFTER_ATTACK = 1500;

/// A page that notes what went wrong on it, with the origin left out: it is another one with the policy and without.
async function watched(browser, origin) {
  const page = await (await browser.newContext()).newPage();
  const problems = [];
  const note = (text) => problems.push(String(text).replaceAll(origin, ''));
  page.on('console', (message) => {
    const { url } = message.location();
    if (message.type() === 'error' && !url.endsWith('/favicon.ico')) note(message.text());
  });
  page.on('pageerror', note);
  page.on('requestfailed', (request) => note(`${request.url()}: ${request.failure().errorText}`));
  page.on('dialog', (dialog) => dialog.dismiss());
  await page.addInitScript(() => {
    const tell = (event) => console.error(`violates ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
    document.addEventListener('securitypolicyviolation', tell);
  });
  return { page, problems };
}

const visible = async (page, selector, most) => {
  const all = await page.locator(selector).all();
  const shown = [];
  for (const one of all.slice(0, 40)) if (shown.length < most && (await one.isVisible())) shown.push(one);
  return shown;
};

/// What a reader sees: the text, how it is shown, and where.
const state = async (page, origin) => {
  await page.waitForTimeout(50);
  const seen = await page.evaluate(() => {
    const styled = [...document.querySelectorAll('body *')].filter((element) => element.getClientRects().length);
    return `${document.body.innerText}\n${styled.length} ${scrollY} ${location.href}`;
  });
  return seen.replaceAll(origin, '');
};

const FILTER = '#filter, input[type=search], input[type=text], input:not([type])';
const SORT = 'th, thead td, .sortable, a[href*="index-sort"]';
const EXPAND = 'summary, .expand, [onclick], label, select, button, input[type=checkbox], .collapsed, .toggle';
const FILE = 'td a[href], .file a[href], .name a[href], li a[href], [data-testid] a[href], a.src_link[href], a[href*=".html"]';

/// Takes every step that the report has something for.
async function work(browser, url) {
  const origin = new URL(url).origin;
  const { page, problems } = await watched(browser, origin);
  const [did, states] = [[], []];
  const step = async (name, act) => {
    try {
      await act();
    } catch (error) {
      problems.push(`${name}: ${String(error).split('\n')[0]}`.replaceAll(origin, ''));
    }
    did.push(name);
    states.push(`${name}: ${await state(page, origin)}`);
  };
  const expand = async () => {
    for (const one of await visible(page, EXPAND, 4)) await step('expand', () => one.click({ timeout: 2000, noWaitAfter: true }));
  };
  await page.goto(url, { waitUntil: 'load' });
  await step('open', async () => {});
  for (const one of await visible(page, FILTER, 1)) {
    await step('filter', () => one.fill('e'));
    await step('filter', () => one.press('Enter'));
    await step('filter', () => one.fill(''));
  }
  for (const one of await visible(page, SORT, 3)) await step('sort', () => one.click({ timeout: 2000 }));
  await page.locator('body').evaluate((body) => document.activeElement && document.activeElement.blur());
  for (const key of ['n', 'm', 's', '?', 'f']) await step('keyboard', () => page.keyboard.press(key));
  await page.goto(url, { waitUntil: 'load' });
  await expand();
  await page.goto(url, { waitUntil: 'load' });
  const inside = [];
  for (const one of await visible(page, FILE, 20)) {
    const target = new URL(await one.evaluate((link) => link.href), url);
    if (target.origin === origin && !/index(-sort-.)?\.html$|\/$/.test(target.pathname)) inside.push(one);
  }
  if (inside.length) {
    await step('file', () => inside[0].click({ timeout: 2000 }));
    await page.waitForLoadState('load');
    for (const key of ['j', 'n', 'k', 'r']) await step('keyboard', () => page.keyboard.press(key));
    await expand();
  }
  await page.context().close();
  return { problems, did, states };
}

/// Opens a hostile page, clicks where it asks for that, and gives what its scripts could read.
async function suffer(browser, url) {
  const { page } = await watched(browser, new URL(url).origin);
  await page.goto(url, { waitUntil: 'load' });
  for (const one of await visible(page, 'button', 1)) await one.click();
  await page.waitForTimeout(AFTER_ATTACK);
  const read = await page.evaluate('window.read || []').catch(() => []);
  await page.context().close();
  return read;
}

async function main(executablePath, task) {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
    // A reader's browser opens no window that nobody clicked for.
    ignoreDefaultArgs: ['--disable-popup-blocking'],
  });
  const reports = [];
  const attacks = [];
  try {
    for (const { name, guarded, plain } of task.reports) {
      const [withPolicy, without] = await Promise.all([work(browser, guarded), work(browser, plain)]);
      reports.push({ name, guarded: withPolicy, plain: without });
    }
    for (const { name, url } of task.attacks) attacks.push({ name, read: await suffer(browser, url) });
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify({ reports, attacks }));
}

main(process.argv[2], JSON.parse(process.argv[3])).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
