/*
 * The same as upload.mjs, by Uppy.
 */

import Uppy from '@uppy/core';
import Tus from '@uppy/tus';

import { delays, failure, watched } from './upload.mjs';


export function start(file, cmd, report) {
    const uppy = new Uppy({ autoProceed: false });

    uppy.use(Tus, {
        endpoint: cmd.endpoint,
        headers: { Authorization: `Bearer ${cmd.token}` },
        retryDelays: delays,
        ...watched(report),
        ...cmd.options,
    });

    uppy.on('upload-progress', (at, progress) => {
        report({ event: 'progress', sent: progress.bytesUploaded,
                 total: progress.bytesTotal });
    });

    uppy.on('upload-success', (at, response) => {
        report({ event: 'success', url: response.uploadURL });
    });

    uppy.on('upload-error', (at, error) => report(failure(error)));

    const id = uppy.addFile({ name: file.name, type: file.type, data: file,
                              meta: cmd.metadata });

    /* its promise is of no use: the events tell the same */
    uppy.upload().catch(() => {});

    return {
        pause() {
            report({ event: 'paused', really: uppy.pauseResume(id) });
        },

        resume() {
            uppy.pauseResume(id);
        },

        remove() {
            uppy.removeFile(id);
            report({ event: 'removed' });
        },
    };
}
