/*
 * What a camera recorded, a fake one in tests: WebM as MediaRecorder makes it,
 * without a length in its header.
 */

const length_ms = 1000;


export async function recorded({ kind, n }) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: true });
    const recorder = new MediaRecorder(stream, {
        mimeType: 'video/webm;codecs=vp8', videoBitsPerSecond: 8_000_000,
    });
    const pieces = [];

    recorder.ondataavailable = (event) => pieces.push(event.data);

    await new Promise((done, failed) => {
        recorder.onstop = done;
        recorder.onerror = failed;
        recorder.start(250);
        setTimeout(() => recorder.stop(), length_ms);
    });

    stream.getTracks().forEach((track) => track.stop());

    return new File(pieces, `${kind}-${n}.webm`, { type: recorder.mimeType,
                                                   lastModified: 1 });
}
