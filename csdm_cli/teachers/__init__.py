"""The networks that distillation looks through, trained on the long-tailed set.

``pool`` (them and their weights before, during and after), ``plan`` (which teachers those are), ``teaching`` (how they
come about), ``experts`` (those whose way trajectory matching follows), ``views`` (what one step looks through: teacher,
θ, ω), ``networks`` (a network that takes on one teacher's weights after another's), ``backbones`` (pools of a network
that is frozen), ``self_supervised`` (how one is trained before, without labels), ``remains`` (of a killed training).
"""
