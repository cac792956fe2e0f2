/*
 * A PUT by fetch(), which no library takes care of: of the file as it is, or
 * of a stream whose length is not told.
 */

import { failure } from './upload.mjs';


export function start(file, cmd, report) {
    const { kind, n } = cmd.metadata;
    const stop = new AbortController();

    fetch(new URL(`recordings/${kind}/${n}`, cmd.endpoint), {
        method: 'PUT',
        headers: { 'Authorization': `Bearer ${cmd.token}`,
                   'Content-Type': file.type },
        body: cmd.as === 'stream' ? file.stream() : file,
        duplex: cmd.as === 'stream' ? 'half' : undefined,
        signal: stop.signal,
    }).then(async (res) => {
        const body = await res.json();

        report({ event: res.ok ? 'success' : 'error', status: res.status,
                 message: body.code ?? null });
    }).catch((error) => report(failure(error)));

    return {
        pause() {
            stop.abort();
            report({ event: 'paused' });
        },
    };
}
