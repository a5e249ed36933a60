"""Figure: agents, critic and trials of MA2ML."""

from svg import Drawing


def draw() -> str:
    """Draw the figure.

    Returns:
        str: SVG.
    """
    pen = Drawing(980, 430, 'MA2ML: agents propose a pipeline together, it '
                  'is trained, and a shared critic gives each agent its '
                  'part of the reward')
    pen.text(24, 32, 'One trial after another', 'head', 'start')
    for i, (name, what) in enumerate((('AUG', 'augmentation'),
                                      ('NAS', 'architecture'),
                                      ('HPO', 'recipe'))):
        y = 60 + 74 * i
        pen.box(30, y, 130, 56, [f'agent {name}', f'chooses {what}'],
                'warm')
        pen.arrow((160, y + 28), (206, y + 28), (206, 162), (232, 162))
    pen.box(232, 130, 116, 64, ['one candidate', 'a choice for', 'each'
                                ' decision'])
    pen.arrow((348, 162), (380, 162))
    pen.box(380, 130, 122, 64, ['within limit?', 'multiply-adds,',
                                'counted, not run'])
    pen.arrow((502, 162), (540, 162))
    pen.arrow((441, 130), (441, 84), (290, 84), (290, 130))
    pen.text(366, 77, 'no: draw again', 'small dim')
    pen.box(540, 118, 176, 88, ['trial', 'base config with the choices,',
                                'trained by a worker, on this',
                                'machine, Ray or Slurm'], 'cool')
    pen.arrow((716, 162), (758, 162))
    pen.box(758, 130, 190, 64, ['reward', 'metric on held-out data;',
                                'a failure counts as the worst'])
    pen.arrow((853, 194), (853, 290))
    pen.box(758, 290, 190, 64, ['study.log', 'all trials, replayed:',
                                'what a search resumes from'])
    pen.arrow((758, 322), (620, 322))
    pen.box(430, 286, 190, 72, ['shared critic', 'worth of a whole pipeline,',
                                'learnt from all trials'], 'warm')
    pen.arrow((430, 322), (95, 322), (95, 264))
    pen.text(262, 313, 'credit of each agent', '')
    pen.text(262, 342, 'its choice against what it would have', 'small dim')
    pen.text(262, 357, 'done otherwise, the others unchanged', 'small dim')
    pen.text(24, 408, 'At the end: best_config.py, a stock config;'
             ' report.html; pareto.json; the best are trained again from'
             ' several seeds.', 'small dim', 'start')
    return pen.finish()
