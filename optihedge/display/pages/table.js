document.querySelectorAll("table[data-sort]").forEach(function(table){
  var body=table.tBodies[0];
  table.querySelectorAll("thead button").forEach(function(button,column){
    button.addEventListener("click",function(){
      var up=button.getAttribute("data-up")!=="1";button.setAttribute("data-up",up?"1":"0");
      table.querySelectorAll("thead th").forEach(function(th){th.removeAttribute("aria-sort")});
      button.parentElement.setAttribute("aria-sort",up?"ascending":"descending");
      Array.from(body.rows).sort(function(a,b){
        var x=a.cells[column].dataset.v||a.cells[column].textContent,y=b.cells[column].dataset.v||b.cells[column].textContent;
        var m=parseFloat(x),n=parseFloat(y),both=!isNaN(m)&&!isNaN(n);
        var d=both?m-n:x.localeCompare(y);return up?d:-d;}).forEach(function(row){body.appendChild(row)});});});
  var box=document.getElementById("filter-"+table.id);
  if(box)box.addEventListener("input",function(){var t=box.value.toLowerCase();
    Array.from(body.rows).forEach(function(r){r.hidden=t!==""&&r.textContent.toLowerCase().indexOf(t)<0})});
  var save=document.getElementById("csv-"+table.id);
  if(save)save.addEventListener("click",function(){
    var text=document.getElementById("csv-text").textContent,link=document.createElement("a");
    link.href=URL.createObjectURL(new Blob([text],{type:"text/csv"}));link.download=save.dataset.name;link.click();});
});
