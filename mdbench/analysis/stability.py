"""x"""
from __future__ import annotations
import math
from collections.abc import Sequence
from dataclasses import dataclass
import numpy as np
from scipy.stats import t as student
from mdbench.analysis.noise import *
from mdbench.analysis.noise import RunSample, mean_g, memory, noise_floor
MODE="max"
def side(difference, runs):
    """variance, dof"""
    out=[]
    if len(runs)>1:
        n=len(runs); dev=np.stack([r.g for r in runs]); dev=dev-dev.mean(0)
        th=np.abs(difference-dev/(n-1)).mean(1)
        rep=((n-1)/n*((th-th.mean())**2).sum(), n-1.)
        if MODE=="rep": return rep
    v=0;d=0
    for r in runs:
        B=r.n_blocks
        dev=r.blocks-r.g
        th=np.abs(difference-dev/(B-1)/len(runs)).mean(1)
        vv=memory(r.blocks)*(B-1)/B*((th-th.mean())**2).sum(); v+=vv; d+=vv**2/((B-1))
    blk=(v,v*v/d if d else 1.)
    if len(runs)==1: return blk
    return max(rep,blk)
def interval(model,ref):
    D=mean_g(model)-mean_g(ref); th=np.abs(D).mean()
    a,da=side(D,model); b,db=side(-D,ref)
    v=a+b; dof=v*v/(a*a/da+b*b/db)
    h=student.ppf(.975,dof)*math.sqrt(v)
    return th,th-h,th+h
