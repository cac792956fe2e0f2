/*
 * What runs in the page: the commands of node.mjs; the file is made here, of
 * "size" bytes or "from" the camera, "by" put, tus or uppy.
 */

import { recorded } from './camera.mjs';
import * as put from './fetch.mjs';
import * as tus from './upload.mjs';
import * as uppy from './uppy.mjs';


const uploads = {};
const ways = { put, tus, uppy };


/* the same bytes, and the same file to who looks for it, for each segment */

function made(size, { kind, n }) {
    const words = new Uint32Array(size / 4);
    let x = 2463534242 + Number(n);

    for (let i = 0; i < words.length; i++) {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        words[i] = x;
    }

    return new File([words], `${kind}-${n}.webm`, { type: 'video/webm',
                                                    lastModified: 1 });
}


async function sha256(file) {
    const hash = await crypto.subtle.digest('SHA-256',
                                            await file.arrayBuffer());

    return Array.from(new Uint8Array(hash),
                      (c) => c.toString(16).padStart(2, '0')).join('');
}


window.run = async (cmd) => {
    if (cmd.do !== 'start') {
        uploads[cmd.id][cmd.do]();
        return;
    }

    const say = (what) => window.report({ id: cmd.id, ...what });
    const file = cmd.from === 'camera' ? await recorded(cmd.metadata)
                                       : made(cmd.size, cmd.metadata);

    await say({ event: 'made', sha256: await sha256(file) });

    uploads[cmd.id] = ways[cmd.by].start(file, cmd, say);
};
