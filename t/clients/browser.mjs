/*
 * Chromium with page.mjs, served from an origin of its own.  Commands of
 * node.mjs go to the page, and these do not:
 *
 *   {"do":"offline","yes":true}     the browser's own idea of a network
 *   {"do":"reload"}                 the page begins anew
 */

import fs from 'node:fs';
import http from 'node:http';
import readline from 'node:readline';

import { chromium } from 'playwright-core';


const [executablePath, script, ...more] = process.argv.slice(2);

const flags = [
    '--no-sandbox', '--disable-gpu', '--no-first-run',
    '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--ignore-certificate-errors',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
    ...(more.length ? more : ['--disable-quic']),
];

const say = (what) => fs.writeSync(1, JSON.stringify(what) + '\n');


function served(req, res) {
    if (req.url === '/page.js') {
        res.setHeader('Content-Type', 'text/javascript');
        res.end(fs.readFileSync(script));
        return;
    }

    res.setHeader('Content-Type', 'text/html');
    res.end('<!doctype html><title>t</title><link rel="icon" href="data:,">'
            + '<script src="/page.js"></script>');
}


async function main() {
    const server = http.createServer(served);

    await new Promise((done) => server.listen(0, '127.0.0.1', done));

    const origin = `http://127.0.0.1:${server.address().port}`;
    const browser = await chromium.launch({ executablePath, args: flags });
    const context = await browser.newContext();
    const page = await context.newPage();

    page.on('console', (message) => console.error(message.text()));
    page.on('pageerror', (error) => console.error(error));

    await page.exposeFunction('report', say);
    await page.goto(origin);

    say({ event: 'page', origin, version: browser.version() });

    const run = async (cmd) => {
        switch (cmd.do) {
        case 'offline':
            await context.setOffline(cmd.yes);
            break;
        case 'reload':
            await page.reload();
            break;
        default:
            await page.evaluate((what) => window.run(what), cmd);
            return;
        }

        say({ event: 'done', do: cmd.do });
    };

    /* one after the other, as they come */
    let last = Promise.resolve();

    readline.createInterface({ input: process.stdin })
        .on('line', (line) => {
            last = last.then(() => run(JSON.parse(line)))
                       .catch((error) => console.error(error));
        })
        .on('close', async () => {
            await browser.close();
            process.exit(0);
        });
}


main();
