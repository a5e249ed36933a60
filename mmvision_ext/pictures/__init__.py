"""Pictures of networks, data and trainings, each from one command.

A module a kind: ``heat``, ``diffusivity``, ``field``, ``pyramid``,
``masked`` and ``attention`` of networks, ``browse`` of data sets, ``curves``
of logs, ``compare`` of predictions with the truth. What they share is in
``network`` (weights and images), ``figure`` (layout and files), ``colours``,
``annotations`` and ``predictions``.
"""
