/*
 * An upload by tus-js-client, in Node.js as in a page.  What happens to it is
 * reported: url, progress, request, response, success, error.
 */

import * as tus from 'tus-js-client';


/* the short delays of a test, but as many as its network is away for */
export const delays = Array(200).fill(100);


/*
 * cmd: endpoint, token, metadata, and options of tus-js-client as they are.
 */
export function start(file, cmd, report) {
    const upload = new tus.Upload(file, {
        endpoint: cmd.endpoint,
        headers: { Authorization: `Bearer ${cmd.token}` },
        metadata: cmd.metadata,
        retryDelays: delays,
        ...watched(report),

        onUploadUrlAvailable() {
            report({ event: 'url', url: upload.url });
        },

        onProgress(sent, total) {
            report({ event: 'progress', sent, total });
        },

        onSuccess() {
            report({ event: 'success', url: upload.url });
        },

        onError(error) {
            report(failure(error));
        },

        ...cmd.options,
    });

    const run = async () => {
        if (cmd.previous) {
            const found = await upload.findPreviousUploads();

            report({ event: 'previous', found: found.length });

            if (found.length) {
                upload.resumeFromPreviousUpload(found[0]);
            }
        }

        upload.start();
    };

    run();

    return {
        async pause() {
            await upload.abort();
            report({ event: 'paused' });
        },

        resume() {
            upload.start();
        },

        async remove() {
            await upload.abort(true);
            report({ event: 'removed' });
        },
    };
}


export function watched(report) {
    return {
        onBeforeRequest(req) {
            report({ event: 'request', method: req.getMethod(),
                     url: req.getURL(),
                     offset: req.getHeader('Upload-Offset') });
        },

        onAfterResponse(req, res) {
            const headers = {};

            for (const name of ['Location', 'Tus-Resumable', 'Upload-Offset',
                                'Upload-Length', 'Upload-Expires'])
            {
                headers[name.toLowerCase()] = res.getHeader(name) ?? null;
            }

            report({ event: 'response', method: req.getMethod(),
                     status: res.getStatus(), headers });
        },
    };
}


export function failure(error) {
    return { event: 'error', message: String(error?.message ?? error),
             status: error?.originalResponse?.getStatus() ?? null };
}
