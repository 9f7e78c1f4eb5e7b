import onnx, difflib
from tests.convert.conftest import *
from edgecv.convert import convert
def test_x(tmp_path, source, dataset, spec, minmax):
    texts=[]
    for i in range(25):
        a=convert(source,format="onnx",scheme="int8",method="ptq",calibration=minmax,dataset=dataset,spec=spec,out=tmp_path/f"{i}.onnx")
        g=onnx.load(a.path); texts.append((onnx.printer.to_text(g.graph) + "\n".join(f"{n.name} {n.op_type} {list(n.input)} {list(n.output)}" for n in g.graph.node)).splitlines()); 
        ini={t.name:(t.data_type,list(t.dims),onnx.numpy_helper.to_array(t).ravel()[:3]) for t in g.graph.initializer}
        if i and texts[-1]!=texts[0]:
            print("\n".join(l[:200] for l in difflib.unified_diff(texts[0],texts[-1],lineterm="",n=1))[:5000]); 
            for nm in list(ini)[:60]: print(nm,ini[nm])
            assert 0
        print([p.value for p in g.metadata_props][0][:50])
