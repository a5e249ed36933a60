"""The page: upload an image, see what each network makes of it."""

import os
import traceback
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..engine.errors import LaunchError
from .draw import SCORE, colour, draw_heat, draw_instances, enlarge
from .images import MAX_BYTES, ImageRefused, read_image
from .networks import TIMES, DemoNetwork

_POLICY = ("default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
           "frame-ancestors 'none'")
#: Pixels that a picture is high on the page.
_HEIGHT = 420
Message = MutableMapping[str, Any]


class KeepInside:
    """Middleware that tells browsers to load nothing from elsewhere.

    Args:
        app (Callable): The application.
    """

    def __init__(self, app: Callable) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Callable,
                       send: Callable[[Message], Awaitable]) -> None:
        """Answer as the application does, with the policy added."""

        async def answer(message: Message) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [
                    *message.get('headers', ()),
                    (b'content-security-policy', _POLICY.encode()),
                    (b'referrer-policy', b'no-referrer')]
            await send(message)

        await self.app(scope, receive, answer)


def _classify(network: DemoNetwork, image: np.ndarray) -> list[Any]:
    scores = network.predict(image).pred_score.tolist()
    return [{network.class_name(i): score for i, score in enumerate(scores)}]


def _detect(network: DemoNetwork, image: np.ndarray) -> list[Any]:
    found = network.predict(image).pred_instances
    found = found[found.scores >= SCORE]
    names = [network.class_name(i) for i in found.labels.tolist()]
    texts = [f'{name} {score:.2f}'
             for name, score in zip(names, found.scores.tolist())]
    line = f'{len(names)} found: {", ".join(texts)}' if names else \
        f'Nothing found with a score of {SCORE} or more.'
    return [draw_instances(image, found, texts), line]


def _segment(network: DemoNetwork, image: np.ndarray) -> list[Any]:
    labels = network.predict(image).pred_sem_seg.data[0].cpu().numpy()
    present = np.unique(labels).tolist()
    shown = enlarge(image)
    times = shown.shape[0] // image.shape[0]
    labels = labels.repeat(times, 0).repeat(times, 1)
    parts = [(labels == i, network.class_name(i)) for i in present]
    return [(shown, parts)]


_RUN = dict(classifier=_classify, detector=_detect, segmentor=_segment)


def _picture(gr: Any, label: str) -> Any:
    # Gradio's own buttons would offer to share the image with the world.
    return gr.Image(label=label, interactive=False, height=_HEIGHT,
                    buttons=['download', 'fullscreen'])


def _outputs(gr: Any, network: DemoNetwork) -> list[Any]:
    """Where the results of a network go."""
    if network.kind == 'classifier':
        return [gr.Label(num_top_classes=5, label='Class')]
    if network.kind == 'detector':
        return [_picture(gr, 'Objects'),
                gr.Textbox(label='Scores', interactive=False)]
    colours = {network.class_name(i): '#' + bytes(colour(i)).hex()
               for i in range(256)}
    return [gr.AnnotatedImage(label='Segments', color_map=colours,
                              height=_HEIGHT)]


def build_page(networks: Sequence[DemoNetwork]) -> Any:
    """The page of some networks.

    Args:
        networks (Sequence[DemoNetwork]): One or more.

    Returns:
        gradio.Blocks: The page, not yet served.

    Raises:
        LaunchError: If gradio is not installed.
    """
    if find_spec('gradio') is None:
        raise LaunchError('gradio is not installed, which the demo needs: '
                          "pip install 'mmvision_ext[demo]'")
    os.environ.update(GRADIO_ANALYTICS_ENABLED='False', HF_HUB_OFFLINE='1')
    import gradio as gr
    # Detectors and segmentors see more of an image than classifiers.
    hot = next((n for n in networks[::-1] if n.conducts_heat), None)
    outputs: list[Any] = []
    # Uploads are deleted after an hour, and at the end.
    with gr.Blocks(title='mmvision_ext', analytics_enabled=False,
                   delete_cache=(600, 3600)) as page:
        gr.Markdown('# What the networks see\nChoose an image. It stays on '
                    'this machine.')
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                # As bytes: no path is ever taken from a browser.
                upload = gr.File(
                    type='binary', label='Your image', elem_id='upload',
                    file_types=['.png', '.jpg', '.jpeg', '.webp', '.bmp'])
                message = gr.Markdown(visible=False, elem_id='message')
                shown = _picture(gr, 'The image')
            with gr.Column(scale=2, min_width=280):
                for network in networks:
                    gr.Markdown(f'### {network.title}')
                    outputs += _outputs(gr, network)
        heat, slider, picture = gr.State(), None, None
        if hot is not None:
            gr.Markdown(f'### How heat spreads\nThe first stage of '
                        f'{hot.title}, as time goes on; at time 1 it is '
                        'what the network computes.')
            slider = gr.Slider(0, len(TIMES) - 1, 0, step=1,
                               label='Step in time', elem_id='time')
            picture = _picture(gr, 'Heat at time 0')

        def look(content: bytes | None) -> list[Any]:
            nothing = [None] * (2 + len(outputs))
            if hot is not None:
                nothing += [0, None]
            if content is None:
                return [gr.Markdown(visible=False), *nothing]
            try:
                found = _look(gr, content, networks, hot)
            except ImageRefused as error:
                return [gr.Markdown(f'**{error}**', visible=True), *nothing]
            return [gr.Markdown(visible=False), *found]

        targets = [message, shown, heat, *outputs]
        if hot is not None:
            targets += [slider, picture]
            slider.change(lambda maps, step: _heat_at(gr, maps, int(step)),
                          [heat, slider], picture, show_progress='hidden')
        upload.change(look, upload, targets)
    return page


def _look(gr: Any, content: bytes, networks: Sequence[DemoNetwork],
          hot: DemoNetwork | None) -> list[Any]:
    try:
        image = read_image(content)
        results = [out for network in networks
                   for out in _RUN[network.kind](network, image)]
        maps = None if hot is None else hot.heat(image)
    except ImageRefused:
        raise
    except Exception as error:
        # For the one at the terminal; a browser is told no more than this.
        traceback.print_exc()
        raise ImageRefused('The networks failed on this image; the terminal '
                           'tells why.') from error
    extra = [] if maps is None else [0, _heat_at(gr, maps, 0)]
    return [enlarge(image), maps, *results, *extra]


def _heat_at(gr: Any, maps: np.ndarray | None, step: int) -> Any:
    if maps is None:
        return None
    return gr.Image(draw_heat(maps, step), interactive=False,
                    label=f'Heat at time {TIMES[step]:g}')


def launch_demo(networks: Sequence[DemoNetwork], port: int,
                wait: bool = True) -> Any:
    """Serve the page, to this machine alone.

    Args:
        networks (Sequence[DemoNetwork]): One or more.
        port (int): Where.
        wait (bool): Whether to serve until interrupted. Defaults to True.

    Returns:
        gradio.Blocks: The page, for ``close()``.

    Raises:
        LaunchError: If gradio is missing or the port is taken.
    """
    page = build_page(networks)
    import gradio as gr
    from starlette.middleware import Middleware
    theme = gr.themes.Default(font=['system-ui', 'sans-serif'],
                              font_mono=['ui-monospace', 'monospace'])
    try:
        page.launch(
            server_name='127.0.0.1', server_port=port, share=False,
            prevent_thread_lock=True, quiet=True, max_file_size=MAX_BYTES,
            footer_links=[], ssr_mode=False, enable_monitoring=False,
            theme=theme,
            app_kwargs=dict(middleware=[Middleware(KeepInside)]))
    except OSError as error:
        raise LaunchError(f'--port {port}: the port is taken; choose '
                          'another') from error
    print(f'the demo is at http://127.0.0.1:{port}, Ctrl-C ends it',
          flush=True)
    if wait:
        page.block_thread()
    return page
