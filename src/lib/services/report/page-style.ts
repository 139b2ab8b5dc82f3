/** The style sheet of the report: light and dark by the reader's choice, A4 when printed. */

// Okabe and Ito's colours, told apart by colour-blind readers too; lighter ones on the dark ground.
const light =
  '--ground:#fff;--text:#1b1f24;--dim:#57606a;--rule:#d0d7de;--bad:#b42318;' +
  '--s0:#0072b2;--s1:#d55e00;--s2:#00795a;--s3:#a8528a;--ok:#0072b2;--failed:#d55e00;--missed:#8c959f;';
const dark =
  '--ground:#14181d;--text:#e6edf3;--dim:#9aa4af;--rule:#39414a;--bad:#ff8f80;' +
  '--s0:#56b4e9;--s1:#f0a030;--s2:#35c79b;--s3:#e29ac4;--ok:#56b4e9;--failed:#f0a030;--missed:#7d8894;';

export const pageStyle = `
:root{${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
*{box-sizing:border-box}
body{margin:0;overflow-wrap:anywhere;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,"Liberation Sans",sans-serif}
main{max-width:752px;margin:0 auto;padding:24px 16px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px}
h2{font-size:19px;margin:36px 0 4px}
p{margin:0 0 12px}
.dim{color:var(--dim);font-size:14px}
.verdict{border:1px solid var(--rule);border-left:6px solid var(--ok);border-radius:6px;padding:10px 14px;margin:16px 0}
.verdict.bad{border-color:var(--bad)}
.verdict p{margin:0;font-weight:600}
.verdict.bad p{color:var(--bad)}
.verdict ul{margin:6px 0 0;padding-left:20px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;margin:20px 0}
.figures div{border:1px solid var(--rule);border-radius:6px;padding:10px 12px}
.figures dt{color:var(--dim);font-size:13px}
.figures dd{margin:0;font-weight:600}
.figures .bad{border-color:var(--bad)}
.figures .bad dd{color:var(--bad)}
figure{margin:0 0 12px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 6px;padding:0;font-size:14px}
.legend svg{vertical-align:-1px}
svg{display:block;max-width:100%;height:auto}
.legend svg{display:inline-block}
svg text{font:12px system-ui,"Liberation Sans",sans-serif;fill:var(--dim)}
.grid{stroke:var(--rule);fill:none}
.line{fill:none;stroke-width:2}
.line.s0{stroke:var(--s0);fill:none}.line.s1{stroke:var(--s1);fill:none}
.line.s2{stroke:var(--s2);fill:none}.line.s3{stroke:var(--s3);fill:none}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}
.ok{fill:var(--ok)}.failed{fill:var(--failed)}.missed{fill:var(--missed)}
.narrow{display:none}
.table{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}

th{font-weight:600;overflow-wrap:normal;color:var(--dim)}
.right{text-align:right}
th.right,td.right,.date{white-space:nowrap}
th.right{white-space:normal}
footer{margin-top:36px;border-top:1px solid var(--rule);padding-top:12px}
@media screen and (max-width:700px){.wide{display:none}.narrow{display:block}h1{font-size:22px}th,td{padding-right:9px;font-size:13px}}
@page{size:A4;margin:16mm}
@media print{:root{${light}}main{max-width:none;padding:0}section{break-inside:avoid}body{font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`;
