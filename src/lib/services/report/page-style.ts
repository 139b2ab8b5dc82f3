/** The style sheet of the report: light and dark by the reader's choice, A4 when printed. */

// After Okabe and Ito, so that colour-blind readers can distinguish them; lighter ones on the dark ground. Letters on the fills have a contrast of 4.5 at least.
const light =
  '--ground:#f5f7f9;--box:#fff;--text:#1b1f24;--dim:#57606a;--rule:#d0d7de;--bad:#b42318;--warn:#8a5300;--good:#00694e;' +
  '--badground:#fdecea;--warnground:#fff4e0;--goodground:#e7f5f0;' +
  '--s0:#0072b2;--s1:#c04a00;--s2:#00795a;--s3:#a8528a;' +
  '--ok:#bfe3d5;--onok:#00452f;--alarm:#f0a030;--onalarm:#2b1800;--failed:#b42318;--onfailed:#fff;--missed:#57606a;--onmissed:#fff;';
const dark =
  '--ground:#14181d;--box:#1c2128;--text:#e6edf3;--dim:#9aa4af;--rule:#39414a;--bad:#ff8f80;--warn:#f0b35a;--good:#4fd1a5;' +
  '--badground:#3a1d1b;--warnground:#33270f;--goodground:#12312a;' +
  '--s0:#56b4e9;--s1:#f0a030;--s2:#35c79b;--s3:#e29ac4;' +
  '--ok:#1f5a49;--onok:#d6f5ea;--alarm:#f0a030;--onalarm:#2b1800;--failed:#ff8f80;--onfailed:#2b0500;--missed:#9aa4af;--onmissed:#14181d;';

export const pageStyle = `
:root{${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
*{box-sizing:border-box}
body{margin:0;overflow-wrap:anywhere;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,"Liberation Sans",sans-serif}
main{max-width:1200px;margin:0 auto;padding:28px 24px}
h1{font-size:28px;line-height:1.2;margin:0 0 6px}
h2{font-size:21px;line-height:1.25;margin:0 0 6px}
h3{font-size:17px;margin:0 0 4px}
p{margin:0 0 10px}
small{display:block;font-size:14px;font-weight:400;color:var(--dim)}
ul{list-style:none;margin:0;padding:0}
a{color:inherit;font-weight:600}
.dim{color:var(--dim);font-size:14px}
.block,.card,details{background:var(--box);border:1px solid var(--rule);border-radius:8px;padding:16px 18px}
.verdict{display:flex;gap:16px;margin:18px 0 14px;padding:18px 20px;border-radius:8px;border:1px solid var(--good);background:var(--goodground)}
.verdict.warning{border-color:var(--warn);background:var(--warnground)}
.verdict.critical{border-color:var(--bad);background:var(--badground)}
.verdict div{flex:1;min-width:0}
.verdict p{margin:0}
.verdict ul{margin-top:10px}
.verdict li{padding:8px 0 0}
.verdict small{color:var(--text);opacity:.8}
.sign{flex:none;width:34px;height:34px;border-radius:50%;text-align:center;line-height:34px;font-weight:700;color:var(--box);background:var(--good)}
.warning>.sign{background:var(--warn)}.critical>.sign{background:var(--bad)}
.ok h2{color:var(--good)}.warning>div>h2,li.warning b{color:var(--warn)}.critical>div>h2,li.critical b{color:var(--bad)}
.overview{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(320px,100%),1fr));gap:12px;margin:0 0 14px}
.overview li{display:flex;gap:12px;background:var(--box);border:1px solid var(--rule);border-radius:8px;padding:12px 14px}
.overview .sign{width:26px;height:26px;line-height:26px;font-size:14px}
.incidents li{display:grid;grid-template-columns:150px 1fr;gap:12px;padding:7px 0;border-top:1px solid var(--rule);font-size:15px}
.incidents time{color:var(--dim);font-variant-numeric:tabular-nums}
.block details{border:0;padding:0;margin:6px 0 0;background:none}
.group{margin-top:34px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:12px 0}
.figures div{background:var(--box);border:1px solid var(--rule);border-radius:8px;padding:12px 14px}
.figures dt{color:var(--dim);font-size:14px}
.figures dd{margin:0;font-size:18px;font-weight:600;line-height:1.35}
.figures .bad{border-color:var(--bad)}
.figures .bad dd{color:var(--bad)}
.grid2{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(480px,100%),1fr));gap:14px;margin:12px 0}
.card>p{font-size:15px}
figure{margin:0}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:0 0 8px;font-size:14px}
.legend svg{vertical-align:-2px;width:14px;height:14px;display:inline-block}
svg{display:block;width:100%;height:auto;max-width:640px}
svg text{font:11px system-ui,"Liberation Sans",sans-serif;fill:var(--dim)}
.grid{stroke:var(--rule);fill:none}
.line{fill:none;stroke-width:1.8}
.line.s0{stroke:var(--s0);fill:none}.line.s1{stroke:var(--s1);fill:none}
.line.s2{stroke:var(--s2);fill:none}.line.s3{stroke:var(--s3);fill:none}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}
.ring{fill:none;stroke:var(--bad);stroke-width:1.8}
.key{display:inline-block;width:17px;height:15px;border-radius:3px;text-align:center;font-size:12px;line-height:15px;font-weight:700;vertical-align:middle}
.key.ok{background:var(--ok);color:var(--onok)}.key.alarm{background:var(--alarm);color:var(--onalarm)}
.key.failed{background:var(--failed);color:var(--onfailed)}.key.missed{background:var(--missed);color:var(--onmissed)}
.key.none{border:1px solid var(--rule)}
.day.ok rect{fill:var(--ok)}.day.ok text{fill:var(--onok)}
.day.alarm rect{fill:var(--alarm)}.day.alarm text{fill:var(--onalarm);font-weight:700}
.day.failed rect{fill:var(--failed)}.day.failed text{fill:var(--onfailed);font-weight:700}
.day.missed rect{fill:var(--missed)}.day.missed text{fill:var(--onmissed);font-weight:700}
.day.none rect{fill:none;stroke:var(--rule)}
details{margin:10px 0;padding:10px 18px}
summary{cursor:pointer;font-weight:600}
.table{overflow-x:auto;margin-top:8px}
caption{text-align:left;color:var(--dim);padding-bottom:4px;font-size:14px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;overflow-wrap:normal;color:var(--dim)}
.right{text-align:right}
th.right,td.right,.date{white-space:nowrap}
footer{margin-top:34px;border-top:1px solid var(--rule);padding-top:12px}
@media screen and (max-width:700px){main{padding:18px 14px}h1{font-size:23px}h2{font-size:19px}svg text{font-size:16.5px}.day text{font-size:13.5px}
.verdict{gap:10px;padding:14px}.block,.card{padding:12px}.figures{grid-template-columns:1fr 1fr}.figures div{padding:10px 12px}
.incidents li{grid-template-columns:1fr;gap:0}th,td{padding-right:9px;font-size:13px}}
@page{size:A4;margin:14mm}
@media print{:root{${light}}body{background:var(--box);font-size:10.5pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
main{max-width:none;padding:0}svg text{font-size:15px}.grid2{grid-template-columns:1fr 1fr}.figures{grid-template-columns:repeat(5,1fr);gap:6px}
.figures div{padding:7px 8px}.figures dd{font-size:12pt}.card,.figures,.verdict,.incidents li,tr{break-inside:avoid}h2,h3{break-after:avoid}
.card>p,.incidents li{font-size:9.5pt}small,.legend,.dim{font-size:8.5pt}.group>.dim{break-after:avoid}.group>details{display:none}.block details::details-content{content-visibility:visible;display:block;block-size:auto}.block summary{display:none}}
`;
