/*
 * tus-js-client in Node.js.  Commands are lines of JSON on stdin:
 *
 *   {"do":"start","id":"a","file":"/path","endpoint":...,"token":...}
 *   {"do":"pause|resume|remove","id":"a"}
 *
 * "as": "buffer" reads the file before, "stream" is one whose length is not
 * known; "urls" is a file that keeps what is needed to resume later.
 */

import fs from 'node:fs';
import readline from 'node:readline';
import { PassThrough } from 'node:stream';

import { FileUrlStorage } from 'tus-js-client';

import { start } from './upload.mjs';


const uploads = {};

const say = (what) => fs.writeSync(1, JSON.stringify(what) + '\n');


function opened(cmd) {
    switch (cmd.as) {
    case 'buffer': return fs.readFileSync(cmd.file);
    case 'stream': return fs.createReadStream(cmd.file).pipe(new PassThrough());
    default: return fs.createReadStream(cmd.file);
    }
}


function run(cmd) {
    if (cmd.do === 'start') {
        if (cmd.urls) {
            cmd.options = { ...cmd.options,
                            urlStorage: new FileUrlStorage(cmd.urls) };
        }

        uploads[cmd.id] = start(opened(cmd), cmd,
                                (what) => say({ id: cmd.id, ...what }));
        return;
    }

    uploads[cmd.id][cmd.do]();
}


readline.createInterface({ input: process.stdin })
    .on('line', (line) => run(JSON.parse(line)))
    .on('close', () => process.exit(0));
